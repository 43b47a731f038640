"""Errors as providers document them, or as people reported them: whose, with which status, and what it is.

The names of the columns: provider, status, body, class, seconds to wait where something says how long, and
the headers that matter.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    provider: str
    status: int
    body: Any
    means: str
    wait: int | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.provider}-{self.status}-{self.means}"


def openai(**fields: Any) -> dict[str, Any]:
    return {"error": {"message": "m", "type": None, "param": None, "code": None, **fields}}


def anthropic(kind: str, message: str = "m", **fields: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **fields}, "request_id": "req_011C"}


def anthropic_like(kind: str, message: str) -> dict[str, Any]:
    """As others answer on the address that they have for Anthropic's clients."""
    return {**anthropic(kind, message), "request_id": "065651beccc4579e5c7e66c939d1987e"}


def google(code: int, message: str, status: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def retry_info(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota_failure(*quota_ids: str) -> dict[str, Any]:
    violations = [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": quota_id,
            "quotaDimensions": {"model": "gemini-2.5-pro"},
            "quotaValue": "10",
        }
        for quota_id in quota_ids
    ]
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}


def code_assist(reason: str, message: str, delay: str = "") -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "cloudcode-pa.googleapis.com",
        "metadata": {"model": "gemini-2.5-pro"},
    }
    details = [info, retry_info(delay)] if delay else [info]
    return google(429, message, "RESOURCE_EXHAUSTED", *details)


def openrouter(code: int, message: str = "m", **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "metadata": metadata}}


def relay(message: str, code: str = "", kind: str = "one_api_error") -> dict[str, Any]:
    return {"error": {"message": f"{message} (request id: 2026)", "type": kind, "param": "", "code": code}}


GEMINI_WORDS = "You exceeded your current quota, please check your plan and billing details."
IN_TPM = (
    "Rate limit reached for gpt-4o in organization org-abcDEF123456 on tokens per min (TPM): Limit 30000,"
    " Used 18928, Requested 11159. Please try again in 174ms. Visit https://platform.openai.com/account."
)
NO_MONEY = (
    "You exceeded your current quota, please check your plan and billing details. For more information on"
    " this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
)

OPENAI = [
    Case("openai", 429, openai(message=IN_TPM, type="tokens", code="rate_limit_exceeded"), "rate_limited", 1),
    Case(
        "openai",
        429,
        openai(
            message="Rate limit reached for gpt-4o on requests per day (RPD): Limit 200, Used 200,"
            " Requested 1. Please try again in 7m12s.",
            type="requests",
            code="rate_limit_exceeded",
        ),
        "window_quota",
        432,
    ),
    Case(
        "openai",
        429,
        openai(
            message="Request too large for gpt-4o in organization org-abc on tokens per min (TPM): Limit"
            " 30000, Requested 30601.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "too_large",
    ),
    Case(
        "openai",
        429,
        openai(type="rate_limit_error", code="slow_down"),
        "rate_limited",
        3,
        {"Retry-After": "3"},
    ),
    Case("openai", 503, openai(type="rate_limit_error", code="slow_down"), "rate_limited", 1),
    Case(
        "openai",
        429,
        openai(message=NO_MONEY, type="insufficient_quota", code="insufficient_quota"),
        "credit_exhausted",
    ),
    Case("openai", 429, openai(message=NO_MONEY, type="insufficient_quota"), "credit_exhausted"),
    Case(
        "openai", 429, openai(type="insufficient_quota", code="credit_balance_exhausted"), "credit_exhausted"
    ),
    *(
        Case("openai", 429, openai(type="insufficient_quota", code=code), "spend_limit")
        for code in (
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        )
    ),
    Case(
        "openai",
        429,
        openai(
            message="Your account is not active, please check your billing details on our website.",
            type="billing_not_active",
            code="billing_not_active",
        ),
        "account_suspended",
    ),
    Case(
        "openai",
        400,
        openai(
            message="Billing hard limit has been reached",
            type="invalid_request_error",
            code="billing_hard_limit_reached",
        ),
        "spend_limit",
    ),
    Case(
        "openai",
        401,
        openai(
            message="The OpenAI account associated with this API key has been deactivated.",
            type="invalid_request_error",
            code="account_deactivated",
        ),
        "account_suspended",
    ),
    Case(
        "openai",
        401,
        openai(
            message="Incorrect API key provided: sk-abcd***wxyz.",
            type="invalid_request_error",
            code="invalid_api_key",
        ),
        "auth_invalid",
    ),
    Case(
        "openai",
        403,
        openai(
            message="Country, region, or territory not supported",
            type="request_forbidden",
            code="unsupported_country_region_territory",
        ),
        "plan_denied",
    ),
    Case(
        "openai", 503, openai(type="service_unavailable_error", code="server_is_overloaded"), "overloaded", 5
    ),
]
ANTHROPIC = [
    Case("anthropic", 429, anthropic("rate_limit_error"), "rate_limited", 12, {"retry-after": "12"}),
    Case(
        "anthropic",
        429,
        anthropic("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
        "spend_limit",
        86_400,
    ),
    Case("anthropic", 529, anthropic("overloaded_error"), "overloaded", 5),
    Case(
        "anthropic",
        400,
        anthropic(
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.",
        ),
        "credit_exhausted",
    ),
    *(
        Case(
            "anthropic",
            400,
            anthropic(
                "invalid_request_error",
                f"You have reached your specified {scope}API usage limits. You will regain access on"
                " 2026-03-03 at 00:00 UTC.",
            ),
            "spend_limit",
            12 * 3600,
        )
        for scope in ("", "workspace ")
    ),
    Case("anthropic", 402, anthropic("billing_error"), "credit_exhausted"),
    Case("anthropic", 401, anthropic("authentication_error"), "auth_invalid"),
    Case("anthropic", 403, anthropic("permission_error"), "plan_denied"),
    Case(
        "anthropic",
        429,
        anthropic("rate_limit_error", "Usage credits are required for long context requests."),
        "plan_denied",
    ),
    Case("anthropic", 413, anthropic("request_too_large"), "too_large"),
    Case("anthropic", 500, anthropic("api_error"), "overloaded", 5),
    Case("anthropic", 504, anthropic("timeout_error"), "overloaded", 5),
    Case("anthropic", 409, anthropic("conflict_error"), "overloaded", 5),
    Case("anthropic", 400, anthropic("invalid_request_error", "max_tokens: required"), "bad_request"),
]
GOOGLE = [
    Case(
        "gemini",
        429,
        google(
            429,
            f"{GEMINI_WORDS} Please retry in 26.2s.",
            "RESOURCE_EXHAUSTED",
            quota_failure("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
            retry_info("26s"),
        ),
        "rate_limited",
        26,
    ),
    Case(
        "gemini",
        429,
        google(
            429,
            f"{GEMINI_WORDS} Please retry in 26.2s.",
            "RESOURCE_EXHAUSTED",
            quota_failure(
                "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
                "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
            ),
            retry_info("26s"),
        ),
        "window_quota",
        20 * 3600,  # at noon UTC in winter it is four o'clock in the morning in Los Angeles
    ),
    Case(
        "gemini",
        429,
        google(
            429,
            f"{GEMINI_WORDS}\n* Quota exceeded for metric: generativelanguage.googleapis.com/"
            "generate_content_free_tier_requests, limit: 0, model: gemini-3.1-pro\nPlease retry in 25.4s.",
            "RESOURCE_EXHAUSTED",
            quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
        ),
        "plan_denied",
    ),
    Case(
        "gemini",
        402,
        google(402, "Your prepayment credits are depleted. Please go to AI Studio.", "RESOURCE_EXHAUSTED"),
        "credit_exhausted",
    ),
    Case(
        "gemini",
        429,
        google(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"),
        "credit_exhausted",
    ),
    Case(
        "gemini",
        400,
        [google(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT")],
        "auth_invalid",
    ),
    Case("gemini", 400, google(400, "API key expired. Please renew it.", "INVALID_ARGUMENT"), "auth_invalid"),
    Case(
        "gemini",
        400,
        google(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
        "plan_denied",
    ),
    Case(
        "gemini", 403, google(403, "The caller does not have permission", "PERMISSION_DENIED"), "plan_denied"
    ),
    Case("gemini", 503, google(503, "The model is overloaded.", "UNAVAILABLE"), "overloaded", 5),
    Case("gemini", 400, google(400, "Invalid value at 'contents'", "INVALID_ARGUMENT"), "bad_request"),
    Case(
        "vertex",
        429,
        google(429, "Resource exhausted, please try again later.", "RESOURCE_EXHAUSTED"),
        "overloaded",
        5,
    ),
    Case(
        "code_assist",
        429,
        code_assist(
            "RATE_LIMIT_EXCEEDED",
            "You have exhausted your capacity on this model. Your quota will reset after 0s.",
            "0.539477544s",
        ),
        "rate_limited",
        10,
    ),
    Case(
        "code_assist",
        429,
        code_assist(
            "QUOTA_EXHAUSTED",
            "You have exhausted your capacity on this model. Your quota will reset after 19h14m47s.",
            "68940s",
        ),
        "window_quota",
        68_940,
    ),
    Case(
        "code_assist",
        429,
        openai(
            message="You have exhausted your capacity on this model. Your quota will reset after 19h14m47s."
        ),
        "window_quota",
        69_287,
    ),
    Case("code_assist", 429, code_assist("MODEL_CAPACITY_EXHAUSTED", "No capacity"), "overloaded", 5),
    Case("code_assist", 429, code_assist("INSUFFICIENT_G1_CREDITS_BALANCE", "m"), "credit_exhausted"),
    Case("code_assist", 403, code_assist("VALIDATION_REQUIRED", "Verify your account"), "account_suspended"),
]
OPENROUTER = [
    Case(
        "openrouter",
        402,
        openrouter(402, error_type="payment_required", limit_source="openrouter_credits"),
        "credit_exhausted",
    ),
    Case("openrouter", 402, openrouter(402, "Insufficient credits. Add more."), "credit_exhausted"),
    *(
        Case("openrouter", status, openrouter(status, limit_source="openrouter_key_limit"), "spend_limit")
        for status in (402, 403)
    ),
    Case(
        "openrouter",
        402,
        openrouter(402, "You requested up to 64000 tokens, but can only afford 2666."),
        "credit_exhausted",
    ),
    Case(
        "openrouter",
        402,
        openrouter(402, reason="in_flight_budget_exhausted", limit_source="openrouter_in_flight_budget"),
        "rate_limited",
        7,
        {"Retry-After": "7"},
    ),
    Case(
        "openrouter",
        402,
        openrouter(402, reason="weight_exceeds_budget", limit_source="openrouter_credits"),
        "too_large",
    ),
    *(
        Case(
            "openrouter",
            403,
            openrouter(
                403,
                "Budget limit exceeded",
                limit_source=source,
                scope="daily",
                limit_usd=5,
                spend_usd=5.1,
                resets_at="2026-03-03T00:00:00Z",
            ),
            "spend_limit",
            12 * 3600,
        )
        for source in ("openrouter_guardrail_budget", "openrouter_workspace_budget", "openrouter_key_limit")
    ),
    Case("openrouter", 403, openrouter(403, error_type="permission_denied"), "plan_denied"),
    Case(
        "openrouter",
        403,
        openrouter(403, "Your chosen model requires moderation and your input was flagged"),
        "bad_request",
    ),
    Case(
        "openrouter",
        403,
        {"error": {"code": 403, "message": "m", "availability": {"code": "region_restricted"}}},
        "plan_denied",
    ),
    Case(
        "openrouter",
        429,
        openrouter(
            429,
            "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests",
            headers={
                "X-RateLimit-Limit": "50",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1772496000000",
            },
            limit_source="openrouter_free_tier_daily",
        ),
        "window_quota",
        12 * 3600,
    ),
    Case(
        "openrouter",
        429,
        openrouter(429, limit_source="openrouter_free_tier_daily"),
        "window_quota",
        12 * 3600,
    ),
    Case("openrouter", 429, openrouter(429, error_type="rate_limit_exceeded"), "rate_limited", 1),
    Case(
        "openrouter",
        503,
        {
            "error": {
                "code": 503,
                "message": "m",
                "metadata": {"error_type": "provider_overloaded", "provider_code": "x"},
                "availability": {"code": "capacity_exhausted", "retryable": True, "retry_after": 21},
            }
        },
        "overloaded",
        21,
    ),
    Case("openrouter", 502, openrouter(502, error_type="provider_unavailable"), "overloaded", 5),
    Case(
        "openrouter", 200, {"error": {"code": 429, "message": "Rate limit"}, "choices": []}, "rate_limited", 1
    ),
]
CHINA = [
    Case(
        "moonshot",
        429,
        openai(
            message="Your account org-abc123456789 is suspended due to insufficient balance, please recharge",
            type="exceeded_current_quota_error",
        ),
        "credit_exhausted",
    ),
    Case("moonshot", 403, openai(message="suspended due to insufficient balance"), "credit_exhausted"),
    Case(
        "moonshot",
        429,
        openai(
            message="Your account reached max organization concurrency: 3, please try again after 4 seconds",
            type="rate_limit_reached_error",
        ),
        "rate_limited",
        4,
    ),
    Case(
        "moonshot",
        429,
        openai(message="reached organization TPD rate limit", type="rate_limit_reached_error"),
        "window_quota",
        3600,
    ),
    Case("moonshot", 429, openai(type="engine_overloaded_error"), "overloaded", 5),
    Case("moonshot", 401, openai(type="invalid_authentication_error"), "auth_invalid"),
    Case(
        "siliconflow",
        429,
        {
            "code": 50603,
            "message": "Request was rejected due to rate limiting. Details: TPM limit reached.",
            "data": None,
        },
        "rate_limited",
        1,
    ),
    Case("siliconflow", 403, {"code": 30001, "message": "m", "data": None}, "credit_exhausted"),
    Case("siliconflow", 403, {"message": "Sorry, your account balance is insufficient"}, "credit_exhausted"),
    Case("siliconflow", 403, {"message": "该模型需要实名认证"}, "account_suspended"),
    Case("siliconflow", 503, {"code": 50505, "message": "Model service overloaded."}, "overloaded", 5),
    Case("siliconflow", 504, b"", "overloaded", 5),
    Case(
        "siliconflow", 400, {"code": 20012, "message": "Model does not exist.", "data": None}, "bad_request"
    ),
    Case("siliconflow", 401, b'"Invalid token"', "auth_invalid"),
    Case(
        "zhipu",
        429,
        {"error": {"code": "1113", "message": "余额不足或无可用资源包,请充值。"}},
        "credit_exhausted",
    ),
    Case(
        "zhipu",
        429,
        anthropic_like("1113", "Insufficient balance or no resource package. Please recharge."),
        "credit_exhausted",
    ),
    *(
        Case("zhipu", 429, {"error": {"code": code, "message": "m"}}, "rate_limited", 1)
        for code in ("1302", "1303")
    ),
    Case("zhipu", 429, {"error": {"code": 1304, "message": "m"}}, "window_quota", 3600),
    *(
        Case("zhipu", 429, {"error": {"code": code, "message": "m"}}, "overloaded", 5)
        for code in ("1305", "1312")
    ),
    Case(
        "zhipu",
        429,
        {
            "error": {
                "code": "1308",
                "message": "已达到 5 小时的使用上限。您的限额将在 2026-03-02 21:30:00 重置。",
            }
        },
        "window_quota",
        90 * 60,
    ),
    Case(
        "zhipu",
        429,
        {
            "error": {
                "code": "1310",
                "message": "Weekly limit exhausted. Your limit will reset at 2026-03-09 00:00:00",
            }
        },
        "window_quota",
        86_400,
    ),
    *(
        Case("zhipu", 429, {"error": {"code": code, "message": "m"}}, "plan_denied")
        for code in ("1309", "1311", "1313")
    ),
    *(
        Case("zhipu", 401, {"error": {"code": code, "message": "m"}}, "auth_invalid")
        for code in ("1000", "1001", "1002", "1003", "1004")
    ),
    *(
        Case("zhipu", status, {"error": {"code": code, "message": "m"}}, "account_suspended")
        for status, code in ((401, "1110"), (429, "1111"), (434, "1112"), (429, "1121"))
    ),
    *(
        Case("minimax", 200, {"base_resp": {"status_code": code, "status_msg": "m"}}, means, wait)
        for code, means, wait in (
            (1008, "credit_exhausted", None),
            (1002, "rate_limited", 1),
            (1004, "auth_invalid", None),
            (1000, "overloaded", 5),
            (1001, "overloaded", 5),
            (1024, "overloaded", 5),
            (1033, "overloaded", 5),
            (1026, "bad_request", None),
            (1027, "bad_request", None),
        )
    ),
    Case(
        "minimax",
        429,
        anthropic_like(
            "rate_limit_error",
            "usage limit exceeded, 5-hour usage limit reached for Token Plan Starter (1500/1500 used), resets"
            " at 2026-03-02T15:00:00Z (2056)",
        ),
        "window_quota",
        3 * 3600,
    ),
    Case(
        "minimax",
        429,
        anthropic_like(
            "rate_limit_error",
            "usage limit exceeded, 5-hour usage limit reached for Token Plan Starter (0/0 used), resets at"
            " 2026-03-02T15:00:00Z (2056)",
        ),
        "plan_denied",
    ),
    *(
        Case("baidu", 200, {"error_code": code, "error_msg": "Open api"}, means, wait)
        for code, means, wait in (
            (18, "rate_limited", 1),
            (4, "overloaded", 5),
            (17, "credit_exhausted", None),
            (19, "credit_exhausted", None),
            (336501, "rate_limited", 1),
            (336502, "rate_limited", 1),
            (110, "auth_invalid", None),
            (111, "auth_invalid", None),
        )
    ),
    *(
        Case(
            "baidu",
            429,
            {"error": {"code": f"{what}_rate_limit_exceeded", "message": "m", "type": "x"}, "id": "as-1"},
            means,
            wait,
        )
        for what, means, wait in (
            ("rpm", "rate_limited", 1),
            ("tpm", "rate_limited", 1),
            ("user", "rate_limited", 1),
            ("preemptible", "rate_limited", 1),
            ("cluster", "overloaded", 5),
        )
    ),
    Case(
        "baidu", 401, {"error": {"code": "invalid_iam_token", "message": "m"}, "id": "as-1"}, "auth_invalid"
    ),
]


def dashscope(code: str, *, is_native: bool = False) -> dict[str, Any]:
    fields = {"code": code, "message": "m"}
    return {**fields, "request_id": "r"} if is_native else {"error": {**fields, "type": code, "param": None}}


CLOUDS = [
    Case("dashscope", 400, dashscope("Arrearage", is_native=True), "credit_exhausted"),
    Case("dashscope", 400, dashscope("Arrearage"), "credit_exhausted"),
    *(
        Case("dashscope", 429, dashscope(code, is_native=True), "rate_limited", 1)
        for code in ("Throttling.RateQuota", "Throttling.BurstRate", "LimitRequests", "Throttling")
    ),
    Case("dashscope", 429, dashscope("Throttling.AllocationQuota", is_native=True), "rate_limited", 60),
    Case("dashscope", 429, dashscope("insufficient_quota"), "rate_limited", 60),
    Case("dashscope", 403, dashscope("AllocationQuota.FreeTierOnly"), "plan_denied"),
    *(
        Case("dashscope", 429, dashscope(code), "credit_exhausted")
        for code in ("PrepaidBillOverdue", "PostpaidBillOverdue", "CommodityNotPurchased")
    ),
    Case("dashscope", 429, dashscope("BudgetLimitExceeded"), "spend_limit"),
    Case("dashscope", 401, dashscope("InvalidApiKey", is_native=True), "auth_invalid"),
    Case("dashscope", 401, dashscope("invalid_api_key"), "auth_invalid"),
    Case("dashscope", 403, dashscope("AccessDenied.Unpurchased"), "plan_denied"),
    Case("dashscope", 403, dashscope("Model.AccessDenied"), "plan_denied"),
    Case("dashscope", 503, dashscope("ModelUnavailable"), "overloaded", 5),
    Case(
        "volcengine",
        403,
        openai(
            code="AccountOverdueError",
            message="The request failed because your account has an overdue balance. Request ID: 02",
            type="Forbidden",
        ),
        "credit_exhausted",
    ),
    *(
        Case("volcengine", 429, openai(code=code, type="TooManyRequests"), "rate_limited", 1)
        for code in (
            "RateLimitExceeded.EndpointRPMExceeded",
            "RateLimitExceeded.EndpointTPMExceeded",
            "ModelAccountRpmRateLimitExceeded",
            "ModelAccountTpmRateLimitExceeded",
            "ModelAccountIpmRateLimitExceeded",
            "AccountRateLimitExceeded",
            "RequestBurstTooFast",
            "InflightBatchsizeExceeded",
            "SomethingNew",
        )
    ),
    Case("volcengine", 429, openai(code="ServerOverloaded", type="TooManyRequests"), "overloaded", 5),
    Case("volcengine", 429, openai(code="QuotaExceeded.Free", type="TooManyRequests"), "spend_limit"),
    Case("volcengine", 429, openai(code="SetLimitExceeded", type="TooManyRequests"), "spend_limit"),
    Case("volcengine", 401, openai(code="AuthenticationError"), "auth_invalid"),
    Case("volcengine", 403, openai(code="AccessDenied"), "plan_denied"),
    Case("volcengine", 403, openai(code="OperationDenied.ServiceOverdue"), "credit_exhausted"),
    Case("volcengine", 404, openai(code="ModelNotOpen"), "plan_denied"),
    Case("volcengine", 404, openai(code="InvalidEndpointOrModel.NotFound"), "plan_denied"),
    Case(
        "azure",
        429,
        openai(
            code="429",
            message="Requests to the ChatCompletions_Create Operation under Azure OpenAI API version"
            " 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry"
            " after 37 seconds.",
        ),
        "rate_limited",
        38,
        {"retry-after": "38", "retry-after-ms": "37123"},
    ),
    Case(
        "azure",
        429,
        openai(
            code="429",
            message="Requests … have exceeded call rate limit of your current OpenAI S0 pricing tier. Please"
            " retry after 86400 seconds.",
        ),
        "plan_denied",
    ),
    Case(
        "azure",
        429,
        {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 5 seconds."},
        "rate_limited",
        5,
    ),
    Case(
        "azure",
        403,
        {"statusCode": 403, "message": "Out of call volume quota. Quota will be replenished in 02:30:00."},
        "window_quota",
        9000,
    ),
]
HOSTS = [
    Case(
        "deepseek",
        402,
        openai(message="Insufficient Balance", type="unknown_error", code="invalid_request_error"),
        "credit_exhausted",
    ),
    Case("deepseek", 401, openai(type="authentication_error", code="invalid_request_error"), "auth_invalid"),
    Case("deepseek", 422, openai(code="invalid_request_error"), "bad_request"),
    Case("deepseek", 429, openai(code="invalid_request_error"), "rate_limited", 1),
    Case("deepseek", 500, openai(), "overloaded", 5),
    Case("deepseek", 503, openai(), "overloaded", 5),
    Case(
        "mistral",
        429,
        {
            "object": "error",
            "message": "Rate limit exceeded",
            "type": "rate_limited",
            "param": None,
            "code": "1300",
            "raw_status_code": 429,
        },
        "rate_limited",
        1,
    ),
    Case("mistral", 429, {"message": "Requests rate limit exceeded"}, "rate_limited", 1),
    *(
        Case(
            "mistral",
            status,
            {"object": "error", "message": "Service tier capacity exceeded for this model.", "code": "3505"},
            "overloaded",
            5,
        )
        for status in (429, 503)
    ),
    Case("mistral", 402, {"message": "Payment required"}, "credit_exhausted"),
    Case("mistral", 402, {"message": "Workspace monthly limit reached"}, "spend_limit"),
    Case(
        "groq",
        429,
        openai(
            message="Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_01` service"
            " tier `on_demand` on tokens per day (TPD): Limit 100000, Used 97050, Requested 3619. Please try"
            " again in 9m38.016s.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "window_quota",
        579,
    ),
    Case(
        "groq",
        429,
        openai(
            message="Rate limit reached on tokens per minute (TPM): Limit 6000, Used 5900, Requested 300.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        "rate_limited",
        2,
        {"retry-after": "2"},
    ),
    Case("groq", 413, openai(type="tokens", code="rate_limit_exceeded"), "too_large"),
    Case("groq", 498, openai(code="capacity_exceeded"), "overloaded", 5),
    Case("groq", 400, openai(message="Organization has been restricted."), "account_suspended"),
    *(
        Case(
            "xai",
            status,
            {
                "code": "permission-denied",
                "error": "Your team 0a has either used all available credits or reached its monthly spending"
                " limit. To continue, buy credits.",
            },
            "credit_exhausted",
        )
        for status in (403, 429)
    ),
    Case(
        "xai",
        403,
        {"code": "c", "error": "You have run out of credits or need a Grok subscription."},
        "credit_exhausted",
    ),
    Case(
        "xai",
        429,
        {"code": "c", "error": "Too many tokens for team 0a. Tokens per Minute (actual/limit): 65605/16000"},
        "rate_limited",
        1,
    ),
    Case(
        "xai",
        403,
        {"code": "permission-denied", "error": "Access to the chat endpoint is denied."},
        "plan_denied",
    ),
    Case("together", 402, openai(message="monthly spending limit reached"), "spend_limit"),
    Case("together", 403, openai(message="Input token count + max_tokens exceeds"), "too_large"),
    Case("together", 429, openai(), "rate_limited", 1, {"x-ratelimit-reset": "0.25"}),
    Case("together", 503, openai(), "overloaded", 5),
    Case("fireworks", 402, openai(), "credit_exhausted"),
    Case("fireworks", 412, openai(), "account_suspended"),
    Case("fireworks", 429, openai(), "rate_limited", 1),
    Case("fireworks", 503, openai(), "overloaded", 5),
    Case("novita", 403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "m"}, "credit_exhausted"),
    Case("novita", 403, {"code": 403, "reason": "INVALID_API_KEY", "message": "m"}, "auth_invalid"),
    Case(
        "novita",
        400,
        {"code": 400, "reason": "BILLING_BALANCE_NOT_ENOUGH", "message": "m"},
        "credit_exhausted",
    ),
    Case("novita", 429, {"code": 429, "reason": "RATE_LIMIT_EXCEEDED", "message": "m"}, "rate_limited", 1),
    *(
        Case("venice", status, body, means, wait)
        for status, code, means, wait in (
            (402, "INSUFFICIENT_BALANCE", "credit_exhausted", None),
            (402, "API_KEY_USD_SPEND_LIMIT_EXCEEDED", "spend_limit", None),
            (429, "RATE_LIMIT_EXCEEDED", "rate_limited", 1),
            (429, "MODEL_OVERLOADED", "overloaded", 5),
            (503, "MODEL_AT_CAPACITY", "overloaded", 5),
        )
        for body in ({"error": code}, {"error": "In words", "code": code})
    ),
    Case("deepinfra", 429, {"detail": {"error": "Rate limited"}}, "rate_limited", 1),
    Case("deepinfra", 429, {"error": {"message": "Model busy, retry later"}}, "overloaded", 5),
]
RELAYS = [
    *(
        case
        for kind, name in (("one_api_error", "one_api"), ("new_api_error", "new_api"))
        for case in (
            Case(
                name,
                403,
                relay("user quota is not enough", "insufficient_user_quota", kind),
                "credit_exhausted",
            ),
            Case(name, 403, relay("令牌额度不足", "pre_consume_token_quota_failed", kind), "spend_limit"),
            Case(
                name, 403, relay("用户额度不足", "pre_consume_token_quota_failed", kind), "credit_exhausted"
            ),
            Case(name, 401, relay("令牌 mine（#7）额度已用尽", "", kind), "spend_limit"),
            Case(name, 401, relay("该令牌额度已用尽", "", kind), "spend_limit"),
            Case(name, 401, relay("无效的令牌", "", kind), "auth_invalid"),
            Case(name, 429, relay("当前分组上游负载已饱和，请稍后再试", "", kind), "rate_limited", 1),
        )
    ),
    Case("one_api", 500, relay("bad", "bad_response_status_code", "upstream_error"), "overloaded", 5),
    Case("one_api", 400, relay("bad", "bad_response_status_code", "upstream_error"), "bad_request"),
    *(
        Case(
            "litellm",
            status,
            openai(
                message="Budget has been exceeded! Current cost: 1.2, Max budget: 1.0",
                type="budget_exceeded",
                code=str(status),
            ),
            "spend_limit",
        )
        for status in (400, 422, 429)
    ),
    Case(
        "litellm",
        400,
        {"detail": "ExceededBudget: User=ann over budget. Spend=1.2, Budget=1.0"},
        "spend_limit",
    ),
    Case("litellm", 429, openai(message="No deployments available - crossed budget"), "spend_limit"),
]
VARIANTS = [
    Case("gemini", 401, google(401, "Request had invalid credentials", "UNAUTHENTICATED"), "auth_invalid"),
    Case(
        "gemini",
        429,
        google(429, "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"),
        "rate_limited",
        1,
    ),
    Case("openrouter", 403, openrouter(403, "Key limit exceeded (total limit)."), "spend_limit"),
    Case(
        "openrouter",
        402,
        openrouter(402, "Prompt tokens limit exceeded: 36163 > 29652. To increase, visit the settings"),
        "too_large",
    ),
    Case(
        "siliconflow",
        429,
        {"message": "Request was rejected due to rate limiting. Details: RPD limit reached."},
        "window_quota",
        3600,
    ),
    Case("siliconflow", 403, {"message": "m"}, "credit_exhausted"),
    Case("zhipu", 429, {"error": {"code": "1113", "message": "m"}}, "credit_exhausted"),
    Case(
        "dashscope",
        429,
        {"code": "x", "message": "Allocated quota exceeded, please increase your quota limit."},
        "rate_limited",
        60,
    ),
    Case("azure", 404, openai(code="DeploymentNotFound"), "plan_denied"),
    Case("mistral", 429, {"object": "error", "message": "m", "code": "3505"}, "overloaded", 5),
]
"""The same in other words, where a table has a line for them."""
DOCUMENTED = [*OPENAI, *ANTHROPIC, *GOOGLE, *OPENROUTER, *CHINA, *CLOUDS, *HOSTS, *RELAYS, *VARIANTS]
