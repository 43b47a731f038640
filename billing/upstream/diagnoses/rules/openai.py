"""OpenAI. Since 2026 the type of all of them may be ``insufficient_quota``: the code says which it is."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass, Responsible
from billing.upstream.diagnoses.rule import Rule, names, says

_CODES = "https://developers.openai.com/api/docs/guides/error-codes"
_rule = partial(Rule, providers=names("openai"), source=_CODES)
_caps_remedy = _("Raise the limit in OpenAI's console, or wait for the month to begin again.")

RULES = (
    _rule(
        name="openai.too_large_for_account",
        means=ErrorClass.TOO_LARGE,
        statuses=frozenset({429}),
        codes=names("rate_limit_exceeded", "tokens"),
        says=says(r"^request too large"),
        alone=Certainty.CERTAIN,
        responsible=Responsible.OPERATOR,
        source="https://github.com/DrShushen/climb/issues/13",
        meaning=_("This request alone is larger than the account's limit for a minute: waiting never helps."),
        remedy=_("Shorten the request, or use an account with a higher limit."),
    ),
    _rule(
        name="openai.credit_balance_exhausted",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("credit_balance_exhausted"),
        alone=Certainty.CERTAIN,
    ),
    _rule(
        name="openai.spend_limit_exceeded",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("organization_spend_limit_exceeded", "project_spend_limit_exceeded"),
        alone=Certainty.CERTAIN,
        remedy=_caps_remedy,
    ),
    _rule(
        name="openai.usage_limit_exceeded",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("organization_usage_limit_exceeded"),
        alone=Certainty.CERTAIN,
        meaning=_("The monthly limit that OpenAI has set for this organization is reached."),
        remedy=_("Ask OpenAI for a higher limit, or wait for the month to begin again."),
    ),
    _rule(
        name="openai.billing_hard_limit_reached",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("billing_hard_limit_reached"),
        alone=Certainty.CERTAIN,
        remedy=_caps_remedy,
    ),
    _rule(
        name="openai.billing_not_active",
        means=ErrorClass.ACCOUNT_SUSPENDED,
        codes=names("billing_not_active"),
        alone=Certainty.CERTAIN,
        remedy=_("Set the billing details of the account right at the provider."),
    ),
    _rule(
        name="openai.account_deactivated",
        means=ErrorClass.ACCOUNT_SUSPENDED,
        codes=names("account_deactivated"),
        alone=Certainty.CERTAIN,
        source="https://github.com/ChatGPTNextWeb/NextChat/issues/4175",
        remedy=_("The account is gone for good: use a key of another one."),
    ),
    _rule(
        name="openai.unsupported_region",
        means=ErrorClass.PLAN_DENIED,
        codes=names("unsupported_country_region_territory"),
        alone=Certainty.CERTAIN,
        source="https://github.com/songquanpeng/one-api/issues/1692",
        meaning=_("The provider does not serve the country that this server's address is in."),
        remedy=_("The key is in order: let calls leave from another country, or use another provider."),
    ),
    _rule(
        name="openai.slow_down",
        means=ErrorClass.RATE_LIMITED,
        codes=names("slow_down"),
        meaning=_("The number of calls grew too fast."),
        remedy=_("Go back to the rate of before, hold it for some minutes, and let it grow slowly."),
    ),
    _rule(
        name="openai.server_is_overloaded",
        means=ErrorClass.OVERLOADED,
        codes=names("server_is_overloaded"),
        alone=Certainty.CERTAIN,
    ),
    _rule(
        name="openai.daily_limit",
        means=ErrorClass.WINDOW_QUOTA,
        statuses=frozenset({429}),
        codes=names("rate_limit_exceeded"),
        says=says(r"\bper day\b|\((?:rpd|tpd)\)"),
        alone=Certainty.CERTAIN,
    ),
    _rule(
        name="openai.rate_limit_exceeded",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429, 503}),
        codes=names("rate_limit_exceeded"),
        alone=None,
    ),
    _rule(
        name="openai.insufficient_quota",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("insufficient_quota"),
        alone=None,
    ),
)
