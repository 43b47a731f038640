"""Hiding what looks like a key in a text that is repeated to somebody."""

import re

HIDDEN = "…"
_KEYS = re.compile(
    r"""
    \b(?:sk|rk|pk|gsk|xai|tgp|fw|nvapi|pplx|oa)[-_][A-Za-z0-9_\-*•.…]{4,}       # also half hidden ones
    | \b(?:key|org|proj)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{8,}
    | \bAIza[A-Za-z0-9_-]{10,}
    | \bey[JI][A-Za-z0-9_-]{10,}[A-Za-z0-9._-]*
    | \b(?:AKIA|ASIA|LTAI|AKLT|AKID)[A-Za-z0-9]{8,}
    | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b                  # Volcengine's keys are UUIDs
    | \b(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}[A-Za-z0-9.=_-]*    # no model's name is so long
    """,
    re.VERBOSE,
)
_NAMED = re.compile(
    r"""
    ( \b (?: bearer \s+ | (?:(?:x-)?api[-_]?key|access[-_]?token|token|secret|password|authorization)
        ["']? \s* [=:] \s* ["']? ) )
    (?= [^\s"',;&<>]* [0-9] ) [^\s"',;&<>]{6,}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str) -> str:
    """The text without what looks like a key, a token or the id of an organization; never longer."""
    return _KEYS.sub(HIDDEN, _NAMED.sub(rf"\1{HIDDEN}", text))
