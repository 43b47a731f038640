"""The tables, in the order in which they are looked at: what providers document, then what all say alike."""

from billing.upstream.diagnoses.rule import Rule
from billing.upstream.diagnoses.rules import (
    anthropic,
    anyone,
    china,
    clouds,
    google,
    hosts,
    openai,
    openrouter,
    relays,
    statuses,
)

RULES: tuple[Rule, ...] = (
    *relays.RULES,
    *openrouter.RULES,
    *clouds.RULES,
    *china.RULES,
    *hosts.RULES,
    *google.RULES,
    *anthropic.RULES,
    *openai.RULES,
    *anyone.RULES,
)
STATUS_RULES: tuple[Rule, ...] = statuses.RULES
"""Looked at when no other rule fits."""
