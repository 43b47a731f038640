"""Moonshot, SiliconFlow, Zhipu (Z.ai), MiniMax and Baidu."""

from functools import partial

from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import Certainty, ErrorClass
from billing.upstream.diagnoses.rule import Rule, names, says

_moonshot = partial(
    Rule, providers=names("moonshot"), source="https://platform.moonshot.ai/docs/api/chat#error-description"
)
_siliconflow = partial(
    Rule,
    providers=names("siliconflow"),
    alone=None,
    source="https://docs.siliconflow.cn/cn/faqs/error-code",
)
_zhipu = partial(Rule, providers=names("zhipu"), source="https://docs.bigmodel.cn/cn/api/api-code")
_minimax = partial(
    Rule, providers=names("minimax"), source="https://platform.minimaxi.com/docs/api-reference/errorcode"
)
_BAIDU_1 = "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh"
_baidu = partial(Rule, providers=names("baidu"), alone=Certainty.CERTAIN, source=_BAIDU_1)
_BAIDU_2 = "https://cloud.baidu.com/doc/qianfan-api/s/tlmyncueh"
_zhipu_remedy = _(
    "Top up or buy a resource package; a key of a Coding Plan needs the base URL of that plan,"
    " …/api/coding/paas/v4."
)
_region_remedy = _("Enter a new key, or check the base URL: a key is good in one region only.")

MOONSHOT = (
    _moonshot(
        name="moonshot.no_balance",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("exceeded_current_quota_error"),
        alone=Certainty.CERTAIN,
    ),
    _moonshot(
        name="moonshot.no_balance_in_words",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({403, 429}),
        says=says(r"insufficient balance"),
        alone=None,
    ),
    _moonshot(
        name="moonshot.daily_tokens",
        means=ErrorClass.WINDOW_QUOTA,
        codes=names("rate_limit_reached_error"),
        says=says(r"\btpd\b|per day"),
        alone=Certainty.CERTAIN,
    ),
    _moonshot(
        name="moonshot.rate",
        means=ErrorClass.RATE_LIMITED,
        codes=names("rate_limit_reached_error"),
        alone=Certainty.CERTAIN,
    ),
    _moonshot(
        name="moonshot.overloaded",
        means=ErrorClass.OVERLOADED,
        codes=names("engine_overloaded_error"),
        alone=Certainty.CERTAIN,
    ),
    _moonshot(
        name="moonshot.key",
        means=ErrorClass.AUTH_INVALID,
        codes=names("invalid_authentication_error"),
        alone=Certainty.CERTAIN,
        remedy=_region_remedy,
    ),
)

SILICONFLOW = (
    _siliconflow(
        name="siliconflow.daily_limit",
        means=ErrorClass.WINDOW_QUOTA,
        statuses=frozenset({429}),
        says=says(r"\b(?:rpd|tpd|ipd)\b"),
    ),
    _siliconflow(name="siliconflow.rate", means=ErrorClass.RATE_LIMITED, statuses=frozenset({429})),
    _siliconflow(
        name="siliconflow.rate_in_words",
        means=ErrorClass.RATE_LIMITED,
        statuses=frozenset({429}),
        says=says(r"request was rejected due to rate limiting"),
        alone=Certainty.LIKELY,
    ),
    _siliconflow(
        name="siliconflow.no_balance",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402, 403}),
        codes=names("30001"),
    ),
    _siliconflow(
        name="siliconflow.no_balance_in_words",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({402, 403}),
        says=says(r"balance|insufficient|余额"),
    ),
    _siliconflow(
        name="siliconflow.real_name",
        means=ErrorClass.ACCOUNT_SUSPENDED,
        statuses=frozenset({403}),
        says=says(r"实名|认证|real[- ]name|verif"),
        meaning=_("The provider wants the account's owner to prove who they are."),
        remedy=_("Pass the check of the real name in the provider's console."),
        lasts=_("until somebody has verified the account"),
    ),
    _siliconflow(
        name="siliconflow.refused",
        means=ErrorClass.CREDIT_EXHAUSTED,
        statuses=frozenset({403}),
        certainty=Certainty.LIKELY,
        meaning=_("The balance does not suffice, or the check of the owner's real name is missing."),
    ),
    _siliconflow(
        name="siliconflow.busy",
        means=ErrorClass.OVERLOADED,
        statuses=frozenset({500, 503, 504}),
    ),
)

ZHIPU = (
    _zhipu(
        name="zhipu.no_balance_in_words",
        means=ErrorClass.CREDIT_EXHAUSTED,
        says=says(r"^(?:余额不足或无可用资源包|insufficient balance or no resource package)"),
        alone=Certainty.CERTAIN,
        remedy=_zhipu_remedy,
    ),
    _zhipu(
        name="zhipu.no_balance",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("1113"),
        remedy=_zhipu_remedy,
    ),
    _zhipu(name="zhipu.rate", means=ErrorClass.RATE_LIMITED, codes=names("1302", "1303")),
    _zhipu(name="zhipu.daily", means=ErrorClass.WINDOW_QUOTA, codes=names("1304")),
    _zhipu(name="zhipu.overloaded", means=ErrorClass.OVERLOADED, codes=names("1305", "1312")),
    _zhipu(
        name="zhipu.plan_window",
        means=ErrorClass.WINDOW_QUOTA,
        codes=names("1308", "1310"),
        meaning=_("What the plan allows within five hours, a week or a month is used up."),
    ),
    _zhipu(
        name="zhipu.plan_expired",
        means=ErrorClass.PLAN_DENIED,
        codes=names("1309"),
        meaning=_("The plan has expired."),
        remedy=_("Renew the plan at the provider."),
        lasts=_("until the plan is renewed"),
    ),
    _zhipu(name="zhipu.not_in_plan", means=ErrorClass.PLAN_DENIED, codes=names("1311")),
    _zhipu(
        name="zhipu.fair_use",
        means=ErrorClass.PLAN_DENIED,
        codes=names("1313"),
        meaning=_("The provider sees the plan's rules of fair use broken."),
        remedy=_("Use the plan only as its terms allow, and ask the provider's support."),
    ),
    _zhipu(
        name="zhipu.key",
        means=ErrorClass.AUTH_INVALID,
        codes=names("1000", "1001", "1002", "1003", "1004"),
        alone=None,
    ),
    _zhipu(
        name="zhipu.account",
        means=ErrorClass.ACCOUNT_SUSPENDED,
        codes=names("1110", "1111", "1112", "1121"),
        alone=None,
    ),
)

MINIMAX = (
    _minimax(
        name="minimax.no_balance",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("base_resp.1008"),
        alone=Certainty.CERTAIN,
    ),
    _minimax(
        name="minimax.rate",
        means=ErrorClass.RATE_LIMITED,
        codes=names("base_resp.1002"),
        alone=Certainty.CERTAIN,
    ),
    _minimax(
        name="minimax.key",
        means=ErrorClass.AUTH_INVALID,
        codes=names("base_resp.1004"),
        alone=Certainty.CERTAIN,
        remedy=_region_remedy,
    ),
    _minimax(
        name="minimax.failed",
        means=ErrorClass.OVERLOADED,
        codes=names("base_resp.1000", "base_resp.1001", "base_resp.1024", "base_resp.1033"),
        alone=Certainty.CERTAIN,
    ),
    _minimax(
        name="minimax.content",
        means=ErrorClass.BAD_REQUEST,
        codes=names("base_resp.1026", "base_resp.1027"),
        alone=Certainty.CERTAIN,
        meaning=_("A filter refuses the content of this request or of its answer."),
    ),
    _minimax(
        name="minimax.not_in_plan",
        means=ErrorClass.PLAN_DENIED,
        says=says(r"^usage limit exceeded.*\(0/0 used\)"),
        alone=Certainty.CERTAIN,
        source="https://github.com/MiniMax-AI/MiniMax-M2.7/issues/36",
        meaning=_("The plan allows this model no calls at all."),
    ),
    _minimax(
        name="minimax.plan_window",
        means=ErrorClass.WINDOW_QUOTA,
        says=says(r"^usage limit exceeded.*(?:(?:token|coding) plan|\(2056\))"),
        alone=Certainty.CERTAIN,
        source="https://github.com/MiniMax-AI/MiniMax-M2.7/issues/36",
    ),
)

BAIDU = (
    _baidu(name="baidu.qps", means=ErrorClass.RATE_LIMITED, codes=names("error_code.18")),
    _baidu(
        name="baidu.minute",
        means=ErrorClass.RATE_LIMITED,
        codes=names("error_code.336501", "error_code.336502"),
    ),
    _baidu(name="baidu.cluster", means=ErrorClass.OVERLOADED, codes=names("error_code.4")),
    _baidu(
        name="baidu.daily_or_unpaid",
        means=ErrorClass.CREDIT_EXHAUSTED,
        codes=names("error_code.17", "error_code.19"),
        certainty=Certainty.LIKELY,
        alone=Certainty.LIKELY,
        meaning=_("The free calls are used up, or the paid service is not open, or a bill is unpaid."),
        remedy=_("Look into the provider's console which of them it is, then pay, or wait for tomorrow."),
        lasts=_("until it is paid, or until tomorrow"),
    ),
    _baidu(
        name="baidu.access_token",
        means=ErrorClass.AUTH_INVALID,
        codes=names("error_code.110", "error_code.111"),
    ),
    _baidu(
        name="baidu.cluster_v2",
        means=ErrorClass.OVERLOADED,
        codes=names("cluster_rate_limit_exceeded"),
        source=_BAIDU_2,
    ),
    _baidu(
        name="baidu.rate_v2",
        means=ErrorClass.RATE_LIMITED,
        codes=names(
            "rpm_rate_limit_exceeded",
            "tpm_rate_limit_exceeded",
            "user_rate_limit_exceeded",
            "preemptible_rate_limit_exceeded",
        ),
        source=_BAIDU_2,
    ),
    _baidu(
        name="baidu.iam_token",
        means=ErrorClass.AUTH_INVALID,
        codes=names("invalid_iam_token"),
        source=_BAIDU_2,
    ),
)

RULES = (*MOONSHOT, *SILICONFLOW, *ZHIPU, *MINIMAX, *BAIDU)
