"""One API, New API and LiteLLM: gateways with quotas of their own in front of other providers."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass
from billing.upstream.diagnoses.rule import Rule, names, says

_one_api = partial(
    Rule,
    providers=names("one_api", "new_api"),
    alone=Certainty.CERTAIN,
    source="https://github.com/songquanpeng/one-api/blob/main/relay/controller/helper.go",
)
_litellm = partial(
    Rule,
    providers=names("litellm"),
    alone=Certainty.CERTAIN,
    source="https://docs.litellm.ai/docs/proxy/users",
)
_token_remedy = _("Raise the token's limit at that relay; the key is good, do not replace it.")
_token_lasts = _("until the token's limit is raised")

ONE_API = (
    _one_api(
        name="one_api.user_quota",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("insufficient_user_quota"),
        meaning=_("The account at that relay has not enough quota."),
        remedy=_("Top up the account at that relay."),
    ),
    _one_api(
        name="one_api.token_quota",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("pre_consume_token_quota_failed"),
        says=says(r"令牌|token"),
        meaning=_("The limit of the token at that relay is used up."),
        remedy=_token_remedy,
        lasts=_token_lasts,
    ),
    _one_api(
        name="one_api.user_quota_of_token",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("pre_consume_token_quota_failed"),
        meaning=_("The account at that relay has not enough quota."),
        remedy=_("Top up the account at that relay."),
    ),
    _one_api(
        name="one_api.token_spent",
        means=ErrorClass.SPEND_LIMIT,
        statuses=frozenset({401, 403, 429}),
        says=says(r"令牌.{0,100}额度已用尽|token.{0,100}quota (?:is |has been )?(?:exhausted|used up)"),
        source="https://github.com/songquanpeng/one-api/blob/main/model/token.go",
        meaning=_("The limit of the token at that relay is used up, though it looks like a bad key."),
        remedy=_token_remedy,
        lasts=_token_lasts,
    ),
    _one_api(
        name="one_api.saturated",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        says=says(r"上游负载已饱和"),
        alone=Certainty.LIKELY,
        certainty=Certainty.LIKELY,
        source="https://github.com/songquanpeng/one-api/blob/main/controller/relay.go",
        meaning=_("That relay's provider answered 429; the relay hides why."),
    ),
)

LITELLM = (
    _litellm(
        name="litellm.budget_exceeded",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("budget_exceeded"),
        meaning=_("The budget at the LiteLLM proxy is used up."),
        remedy=_("Raise the budget of the key, user or team at the proxy."),
        lasts=_("until the budget resets or is raised"),
    ),
    _litellm(
        name="litellm.budget_in_words",
        means=ErrorClass.SPEND_LIMIT,
        says=says(r"^(?:\w+\.)*(?:budget has been exceeded|exceededbudget)|^exceededbudget"),
        meaning=_("The budget at the LiteLLM proxy is used up."),
        remedy=_("Raise the budget of the key, user or team at the proxy."),
        lasts=_("until the budget resets or is raised"),
    ),
    _litellm(
        name="litellm.deployment_budget",
        means=ErrorClass.SPEND_LIMIT,
        statuses=frozenset({429}),
        says=says(r"crossed budget"),
        source="https://docs.litellm.ai/docs/proxy/provider_budget_routing",
        meaning=_("The budget that the LiteLLM proxy gives its own provider is used up."),
        remedy=_("Raise the provider's budget at the proxy."),
        lasts=_("until the budget resets or is raised"),
    ),
)

RULES = (*ONE_API, *LITELLM)
