"""OpenRouter. Status 402 has three meanings, and only one of them is that money is gone."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass, Responsible, Until
from billing.upstream.diagnoses.rule import Rule, names, says

_LIMITS = "https://openrouter.ai/docs/api-reference/limits"
_ERRORS = "https://openrouter.ai/docs/api-reference/errors"
_rule = partial(Rule, providers=names("openrouter"), source=_LIMITS)

RULES = (
    _rule(
        name="openrouter.in_flight_budget",
        means=ErrorClass.RATE_LIMITED,
        codes=names("openrouter_in_flight_budget", "in_flight_budget_exhausted"),
        alone=Certainty.CERTAIN,
        meaning=_("Too many paid calls run at the same time for what is left; the money is not gone."),
        remedy=_("Wait for some of them to end; client libraries do not try again after a 402."),
    ),
    _rule(
        name="openrouter.weight_exceeds_budget",
        means=ErrorClass.TOO_LARGE,
        codes=names("weight_exceeds_budget"),
        alone=Certainty.CERTAIN,
        responsible=Responsible.OPERATOR,
        meaning=_("This request may cost more than what is left on the account."),
        remedy=_("Lower the limit of the answer, or add credits."),
    ),
    _rule(
        name="openrouter.prompt_too_large",
        means=ErrorClass.TOO_LARGE,
        statuses=frozenset({402}),
        says=says(r"^prompt tokens limit exceeded"),
        alone=Certainty.CERTAIN,
        responsible=Responsible.OPERATOR,
        source="https://github.com/continuedev/continue/issues/11540",
        meaning=_("This request may cost more than what is left on the account."),
        remedy=_("Shorten the prompt, or add credits."),
    ),
    _rule(
        name="openrouter.can_only_afford",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402}),
        says=says(r"can only afford \d+"),
        alone=Certainty.CERTAIN,
        source=_ERRORS,
        meaning=_("What is left on the account does not pay for the longest answer that was asked for."),
        remedy=_("Add credits; a lower limit of the answer lets calls through until then."),
    ),
    _rule(
        name="openrouter.budget",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("openrouter_key_limit", "openrouter_guardrail_budget", "openrouter_workspace_budget"),
        alone=Certainty.CERTAIN,
        remedy=_("Raise the limit of the key or the budget at OpenRouter, or wait until it resets."),
        lasts=_("until the budget resets or is raised"),
    ),
    _rule(
        name="openrouter.budget_in_words",
        means=ErrorClass.SPEND_LIMIT,
        statuses=frozenset({402, 403}),
        says=says(r"^(?:budget|key) limit exceeded"),
        lasts=_("until the budget resets or is raised"),
    ),
    _rule(
        name="openrouter.no_credits",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402}),
        codes=names("openrouter_credits", "payment_required"),
        alone=Certainty.CERTAIN,
        source=_ERRORS,
        remedy=_("Add credits; a balance below zero stops free models, too."),
    ),
    _rule(
        name="openrouter.payment_required",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402}),
        alone=None,
        source=_ERRORS,
    ),
    _rule(
        name="openrouter.free_per_day",
        means=ErrorClass.WINDOW_QUOTA,
        statuses=frozenset({429}),
        says=says(r"free-models-per-day"),
        alone=Certainty.CERTAIN,
        until=Until.NEXT_DAY,
        meaning=_("The free models' calls of today (UTC) are used up."),
    ),
    _rule(
        name="openrouter.free_tier_daily",
        means=ErrorClass.WINDOW_QUOTA,
        codes=names("openrouter_free_tier_daily"),
        alone=Certainty.CERTAIN,
        until=Until.NEXT_DAY,
        meaning=_("The free models' calls of today (UTC) are used up."),
    ),
    _rule(
        name="openrouter.region_restricted",
        means=ErrorClass.PLAN_DENIED,
        codes=names("region_restricted"),
        source=_ERRORS,
        meaning=_("The model is not served to this region."),
    ),
    _rule(
        name="openrouter.moderation",
        means=ErrorClass.BAD_REQUEST,
        statuses=frozenset({403}),
        says=says(r"moderation|flagged"),
        source=_ERRORS,
        meaning=_("A moderation filter refuses the content of this request."),
    ),
    _rule(
        name="openrouter.permission_denied",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({403}),
        codes=names("permission_denied"),
        alone=None,
        source=_ERRORS,
        remedy=_("Look at the guardrails and the privacy settings of the account and the key."),
    ),
    _rule(
        name="openrouter.capacity",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({429, 500, 502, 503}),
        codes=names(
            "provider_overloaded", "provider_unavailable", "capacity_exhausted", "temporarily_unavailable"
        ),
        alone=Certainty.CERTAIN,
        source=_ERRORS,
    ),
    _rule(
        name="openrouter.upstream_limited",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("rate_limit_exceeded"),
        alone=None,
        source=_ERRORS,
    ),
)
