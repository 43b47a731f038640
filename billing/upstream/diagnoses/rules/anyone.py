"""What codes and words mean where nobody knows whose they are, or their provider documents nothing else."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass
from billing.upstream.diagnoses.rule import Rule, names, says

_OPENAI = "https://platform.openai.com/docs/guides/error-codes"
_rule = partial(Rule, source=_OPENAI)
_likely = partial(_rule, certainty=Certainty.LIKELY)

RULES = (
    _rule(
        name="any.invalid_api_key",
        means=ErrorClass.AUTH_INVALID,
        codes=names("invalid_api_key", "invalidapikey", "incorrect_api_key"),
    ),
    _rule(
        name="any.model_not_found",
        means=ErrorClass.PLAN_DENIED,
        codes=names("model_not_found", "model_not_allowed"),
        meaning=_("The account cannot use this model, or the provider has none of that name."),
        remedy=_("Check the model's name and mapping, or take it off this channel."),
    ),
    _rule(
        name="any.context_length",
        means=ErrorClass.TOO_LARGE,
        codes=names("context_length_exceeded", "string_above_max_length", "request_too_large"),
    ),
    _rule(
        name="any.context_length_in_words",
        means=ErrorClass.TOO_LARGE,
        statuses=frozenset({400, 413, 422}),
        says=says(r"maximum context length|context window|prompt is too long"),
    ),
    _rule(
        name="any.insufficient_credits",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("insufficient_credits"),
        source="https://github.com/Gitlawb/openclaude/issues/1528",
    ),
    _likely(
        name="any.insufficient_quota",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("insufficient_quota"),
        meaning=_(
            "Most likely the prepaid money is used up; at Alibaba's DashScope the same code means too many"
            " tokens in a minute."
        ),
    ),
    _likely(
        name="any.free_quota",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("free_quota_exceeded"),
        source="https://github.com/Gitlawb/openclaude/issues/1528",
        meaning=_("The free quota is used up."),
    ),
    _likely(
        name="any.quota_exceeded",
        means=ErrorClass.SPEND_LIMIT,
        codes=names("quota_exceeded"),
    ),
    _likely(
        name="any.current_quota_in_words",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402, 403, 429}),
        says=says(r"^you exceeded your current quota"),
    ),
    _likely(
        name="any.spend_limit_in_words",
        means=ErrorClass.SPEND_LIMIT,
        statuses=frozenset({402, 403, 429}),
        says=says(r"spend(?:ing)? limit|usage limit for (?:this|the) month|monthly (?:usage )?limit"),
    ),
    _likely(
        name="any.no_money_in_words",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402, 403, 429}),
        says=says(
            r"insufficient (?:account )?(?:balance|credits?|funds)|balance is insufficient"
            r"|credit balance is too low|out of credits"
            r"|余额不足|额度不足|欠费|in arrears|overdue"
        ),
    ),
    _likely(
        name="any.credit_too_low",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({400}),
        says=says(r"^your credit balance is too low"),
    ),
    _likely(
        name="any.suspended_in_words",
        means=ErrorClass.ACCOUNT_SUSPENDED,
        statuses=frozenset({401, 402, 403, 429}),
        says=says(
            r"(?:account|organization|team).{0,60}(?:deactivated|suspended|disabled|banned|restricted)"
        ),
    ),
    _likely(
        name="any.region_in_words",
        means=ErrorClass.PLAN_DENIED,
        statuses=frozenset({400, 403}),
        says=says(
            r"^user location is not supported"
            r"|^(?:your |this )?(?:country|region|territory)[a-z, ]* not (?:supported|available)"
        ),
        meaning=_("The provider does not serve the country that this server's address is in."),
        remedy=_("The key is in order: let calls leave from another country, or use another provider."),
    ),
    _likely(
        name="any.bad_key_in_words",
        means=ErrorClass.AUTH_INVALID,
        statuses=frozenset({400, 401, 403}),
        says=says(r"^(?:incorrect|invalid|expired) (?:api[ _-]?key|authentication)"),
    ),
    _likely(
        name="any.key_is_bad_in_words",
        means=ErrorClass.AUTH_INVALID,
        statuses=frozenset({401, 403}),
        says=says(r"api key (?:is )?(?:invalid|expired)"),
    ),
    _rule(
        name="any.rate_limit_exceeded",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("rate_limit_exceeded", "too_many_requests", "toomanyrequests", "rate_limit_reached"),
    ),
    _likely(
        name="any.rate_limit_error",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        codes=names("rate_limit_error", "rate_limited"),
    ),
    _rule(
        name="any.overloaded",
        means=ErrorClass.OVERLOADED,
        codes=names("overloaded_error", "overloaded", "server_overloaded", "service_unavailable_error"),
    ),
    _likely(
        name="any.overloaded_in_words",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({429}),
        says=says(r"\boverloaded\b|at capacity|over capacity|负载"),
    ),
)
