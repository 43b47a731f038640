"""Anthropic. Refusals of the account come with the status and type of a bad request: the message tells."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass, Until
from billing.upstream.diagnoses.rule import Rule, names, says

_rule = partial(Rule, providers=names("anthropic"), source="https://platform.claude.com/docs/en/api/errors")

RULES = (
    _rule(
        name="anthropic.enforced_spend_limit",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("enforced_spend_limit_reached"),
        alone=Certainty.CERTAIN,
        until=Until.NEXT_MONTH,
        source="https://platform.claude.com/docs/en/api/rate-limits",
        meaning=_("The monthly limit of the account's tier is reached."),
        remedy=_("Move up a tier in Anthropic's console, or wait for the month to begin again."),
    ),
    _rule(
        name="anthropic.credit_too_low",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({400, 402, 403}),
        says=says(r"^your credit balance is too low to access the anthropic api"),
        alone=Certainty.CERTAIN,
    ),
    _rule(
        name="anthropic.own_limit",
        means=ErrorClass.SPEND_LIMIT,
        statuses=frozenset({400}),
        says=says(r"^you have reached your specified (?:\w+ )?api usage limits"),
        alone=Certainty.CERTAIN,
        source="https://platform.claude.com/docs/en/api/rate-limits",
        remedy=_("Raise the limit in Anthropic's console, or wait for the day that the message names."),
    ),
    _rule(
        name="anthropic.billing_error",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("billing_error"),
    ),
    _rule(
        name="anthropic.long_context",
        means=ErrorClass.PLAN_DENIED,
        says=says(r"^usage credits are required for long context requests"),
        alone=Certainty.CERTAIN,
        source="https://github.com/anthropics/claude-code/issues/61808",
        meaning=_("The account has no credits for prompts this long; waiting does not help."),
        remedy=_("Shorten the prompt, leave the header for a million tokens out, or buy usage credits."),
    ),
    _rule(
        name="anthropic.rate_limit_error",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("rate_limit_error"),
        alone=None,
        source="https://platform.claude.com/docs/en/api/rate-limits",
    ),
    _rule(
        name="anthropic.overloaded_error",
        means=ErrorClass.OVERLOADED,
        codes=names("overloaded_error"),
        alone=Certainty.CERTAIN,
    ),
    _rule(
        name="anthropic.authentication_error",
        means=ErrorClass.AUTH_INVALID,
        statuses=frozenset({401}),
        codes=names("authentication_error"),
    ),
    _rule(
        name="anthropic.permission_error",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({403}),
        codes=names("permission_error"),
        remedy=_("Use a key of a workspace that may use this model or feature."),
    ),
    _rule(
        name="anthropic.request_too_large",
        means=ErrorClass.TOO_LARGE,
        statuses=frozenset({413}),
        codes=names("request_too_large"),
        alone=Certainty.CERTAIN,
    ),
    _rule(
        name="anthropic.failed",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({409, 500, 502, 503, 504, 529}),
        codes=names("api_error", "timeout_error", "conflict_error"),
    ),
)
