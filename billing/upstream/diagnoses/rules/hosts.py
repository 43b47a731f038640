"""DeepSeek, Mistral, Groq, xAI, Together, Fireworks, Novita, Venice and DeepInfra.

Some of them give a status a meaning of its own: a rule without a code is about that provider only.
"""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass, Responsible
from billing.upstream.diagnoses.rule import Rule, names, says

_deepseek = partial(
    Rule,
    providers=names("deepseek"),
    alone=None,
    source="https://api-docs.deepseek.com/quick_start/error_codes",
)
_mistral = partial(
    Rule, providers=names("mistral"), source="https://docs.mistral.ai/deployment/laplateforme/tier/"
)
_groq = partial(Rule, providers=names("groq"), source="https://console.groq.com/docs/errors")
_xai = partial(Rule, providers=names("xai"), source="https://github.com/continuedev/continue/issues/10373")
_together = partial(
    Rule, providers=names("together"), alone=None, source="https://docs.together.ai/docs/error-codes"
)
_fireworks = partial(
    Rule,
    providers=names("fireworks"),
    alone=None,
    source="https://docs.fireworks.ai/guides/inference-error-codes",
)
_novita = partial(
    Rule, providers=names("novita"), source="https://novita.ai/docs/api-reference/basic-error-code"
)
_venice = partial(Rule, providers=names("venice"), source="https://docs.venice.ai/api-reference/error-codes")
_deepinfra = partial(
    Rule, providers=names("deepinfra"), alone=None, source="https://deepinfra.com/docs/advanced/rate-limits"
)

DEEPSEEK = (
    _deepseek(name="deepseek.no_balance", means=ErrorClass.CREDIT_EXHAUSTED, statuses=frozenset({402})),
    _deepseek(
        name="deepseek.concurrency",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        meaning=_("Too many calls at the same time."),
    ),
    _deepseek(name="deepseek.key", means=ErrorClass.AUTH_INVALID, statuses=frozenset({401})),
    _deepseek(name="deepseek.parameters", means=ErrorClass.BAD_REQUEST, statuses=frozenset({400, 422})),
    _deepseek(name="deepseek.failed", means=ErrorClass.OVERLOADED, statuses=frozenset({500, 503})),
)

MISTRAL = (
    _mistral(
        name="mistral.capacity",
        means=ErrorClass.OVERLOADED,
        says=says(r"^service tier capacity exceeded"),
        alone=Certainty.CERTAIN,
    ),
    _mistral(name="mistral.capacity_code", means=ErrorClass.OVERLOADED, codes=names("3505"), alone=None),
    _mistral(
        name="mistral.rate",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("rate_limited", "1300"),
    ),
    _mistral(
        name="mistral.rate_in_words",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        says=says(r"^requests rate limit exceeded"),
    ),
    _mistral(
        name="mistral.monthly_limit",
        means=ErrorClass.SPEND_LIMIT,
        statuses=frozenset({402}),
        says=says(r"limit|month"),
        alone=None,
    ),
    _mistral(
        name="mistral.payment_required",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402}),
        alone=None,
    ),
)

GROQ = (
    _groq(
        name="groq.too_large_for_account",
        means=ErrorClass.TOO_LARGE,
        statuses=frozenset({413}),
        codes=names("rate_limit_exceeded"),
        alone=Certainty.CERTAIN,
        responsible=Responsible.OPERATOR,
        meaning=_("This request alone is larger than the account's limit for a minute: waiting never helps."),
        remedy=_("Shorten the request, or use an account with a higher limit."),
    ),
    _groq(
        name="groq.flex_capacity",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({498}),
    ),
    _groq(
        name="groq.restricted",
        means=ErrorClass.ACCOUNT_SUSPENDED,
        says=says(r"^organization has been restricted"),
        alone=Certainty.CERTAIN,
    ),
    _groq(
        name="groq.daily_limit",
        means=ErrorClass.WINDOW_QUOTA,
        statuses=frozenset({429}),
        codes=names("rate_limit_exceeded"),
        says=says(r"\bper day\b|\((?:rpd|tpd)\)"),
        alone=None,
    ),
    _groq(
        name="groq.rate",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("rate_limit_exceeded"),
        alone=None,
    ),
)

XAI = (
    _xai(
        name="xai.no_credits_or_limit",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402, 403, 429}),
        says=says(r"used all available credits or reached its monthly spending limit"),
        certainty=Certainty.LIKELY,
        meaning=_("The team's credits are used up, or its monthly limit is reached: xAI does not say which."),
        remedy=_("Look into xAI's console which of them it is; buy credits or raise the limit."),
    ),
    _xai(
        name="xai.no_credits",
        means=ErrorClass.CREDIT_EXHAUSTED,
        says=says(r"^you have run out of credits or need a grok subscription"),
        alone=Certainty.CERTAIN,
        source="https://github.com/Wei-Shaw/sub2api/issues/4069",
        remedy=_("Buy credits, or send the token of a subscription to the host that it is for."),
    ),
    _xai(
        name="xai.rate",
        means=ErrorClass.RATE_LIMITED,
        says=says(r"^too many (?:tokens|requests) for team"),
        alone=Certainty.CERTAIN,
    ),
    _xai(
        name="xai.permission_denied",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({403}),
        codes=names("permission-denied"),
    ),
)

TOGETHER = (
    _together(name="together.spend_limit", means=ErrorClass.SPEND_LIMIT, statuses=frozenset({402})),
    _together(
        name="together.context_length",
        means=ErrorClass.TOO_LARGE,
        statuses=frozenset({403}),
        says=says(r"\btokens\b|token count|context|length|max_new|too long"),
        meaning=_("Prompt and answer together are longer than the model's context; the key is in order."),
    ),
    _together(name="together.rate", means=ErrorClass.RATE_LIMITED, statuses=frozenset({429})),
    _together(name="together.overloaded", means=ErrorClass.OVERLOADED, statuses=frozenset({503})),
)

FIREWORKS = (
    _fireworks(
        name="fireworks.payment_required", means=ErrorClass.CREDIT_EXHAUSTED, statuses=frozenset({402})
    ),
    _fireworks(name="fireworks.suspended", means=ErrorClass.ACCOUNT_SUSPENDED, statuses=frozenset({412})),
    _fireworks(name="fireworks.rate", means=ErrorClass.RATE_LIMITED, statuses=frozenset({429})),
    _fireworks(name="fireworks.overloaded", means=ErrorClass.OVERLOADED, statuses=frozenset({503})),
)

NOVITA = (
    _novita(
        name="novita.no_balance",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("not_enough_balance", "billing_balance_not_enough"),
        alone=Certainty.CERTAIN,
    ),
)

VENICE = (
    _venice(
        name="venice.no_balance",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("insufficient_balance"),
        alone=Certainty.CERTAIN,
    ),
    _venice(
        name="venice.key_limit",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("api_key_usd_spend_limit_exceeded", "api_key_diem_spend_limit_exceeded"),
        alone=Certainty.CERTAIN,
        remedy=_("Raise the limit of the key at the provider, or wait until it resets."),
    ),
    _venice(
        name="venice.busy",
        means=ErrorClass.OVERLOADED,
        codes=names("model_overloaded", "model_at_capacity"),
        alone=Certainty.CERTAIN,
    ),
    _venice(
        name="venice.rate",
        means=ErrorClass.RATE_LIMITED,
        codes=names("rate_limit_exceeded"),
        alone=None,
        remedy=_("Wait; more than 20 failures within 30 seconds block the key for another 30."),
    ),
)

DEEPINFRA = (
    _deepinfra(
        name="deepinfra.busy",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({429}),
        says=says(r"\bbusy\b"),
    ),
    _deepinfra(name="deepinfra.rate", means=ErrorClass.RATE_LIMITED, statuses=frozenset({429})),
)

RULES = (
    *DEEPSEEK,
    *MISTRAL,
    *GROQ,
    *XAI,
    *TOGETHER,
    *FIREWORKS,
    *NOVITA,
    *VENICE,
    *DEEPINFRA,
)
