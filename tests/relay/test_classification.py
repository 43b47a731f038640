"""What providers' refusals are taken for: the shapes and codes that they are known to send."""

import json
from typing import Any

import pytest

from relay.errors import (
    TooLargeForAccountError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamUnavailableError,
)
from relay.upstream import UpstreamError, classify
from tests.factories import NOON


def classified(
    status: int, body: Any, retry_after: str | None = None, base_url: str = "https://relay.example"
) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"retry-after": retry_after} if retry_after is not None else {}
    return classify(status=status, body=raw, headers=headers, base_url=base_url, model="gpt-4o", at=NOON)


def error(**fields: Any) -> dict[str, Any]:
    return {"error": fields}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            429,
            error(
                message="You exceeded your current quota",
                type="insufficient_quota",
                code="insufficient_quota",
            ),
        ),
        (429, error(message="You exceeded your current quota", type="insufficient_quota", code=None)),
        (429, error(message="No credits", type="billing", code="credit_balance_exhausted")),
        (429, error(message="Cap", type="requests", code="organization_spend_limit_exceeded")),
        (429, error(message="Cap", type="requests", code="project_spend_limit_exceeded")),
        (429, error(message="Not active", type="billing_not_active", code="billing_not_active")),
        (400, error(message="Hard limit", type="invalid_request_error", code="billing_hard_limit_reached")),
        (401, error(message="Deactivated", type="invalid_request_error", code="account_deactivated")),
        (401, error(message="Incorrect API key", type="invalid_request_error", code="invalid_api_key")),
        (403, error(message="Region", type="request_forbidden", code="unsupported_country_region_territory")),
        (402, error(message="Insufficient Balance", type="unknown_error", code="invalid_request_error")),
        (
            403,
            error(message="user quota is not enough", type="one_api_error", code="insufficient_user_quota"),
        ),
        (403, error(message="令牌额度不足", type="one_api_error", code="pre_consume_token_quota_failed")),
        (401, error(message="该令牌额度已用尽", type="one_api_error", param="")),
        (400, {"code": "Arrearage", "message": "Access denied", "request_id": "r"}),
        (429, error(code="1113", message="余额不足或无可用资源包,请充值。")),
        (429, error(message="suspended due to insufficient balance", type="exceeded_current_quota_error")),
        (422, error(message="Budget has been exceeded!", type="budget_exceeded", code="422")),
        (
            400,
            error(type="invalid_request_error", message="Your credit balance is too low to access the API"),
        ),
        (
            400,
            error(type="invalid_request_error", message="You have reached your specified API usage limits."),
        ),
        (400, [error(code=400, message="API key not valid. Please pass a valid API key.", status="INVALID")]),
        (403, {"code": "c", "error": "You have run out of credits or need a Grok subscription."}),
        (
            402,
            [error(code=402, message="Your prepayment credits are depleted.", status="RESOURCE_EXHAUSTED")],
        ),
        (404, error(message="The model does not exist", code="model_not_found")),
        (403, b"<html><body>Forbidden</body></html>"),
    ],
)
def test_a_refusal_of_our_account_is_not_put_on_the_caller_and_another_channel_may_do(status, body) -> None:
    failed = classified(status, body)

    assert isinstance(failed.error, UpstreamUnavailableError)
    assert failed.may_fail_over
    assert failed.error.http_status == 503


def test_the_words_of_a_refused_account_stay_with_us() -> None:
    failed = classified(
        401, error(message="Incorrect API key provided: sk-abc***xyz", code="invalid_api_key")
    )

    assert "sk-abc" not in failed.error.full_text
    assert "401 invalid_api_key" in failed.error.full_text


@pytest.mark.parametrize(
    ("body", "retry_after", "seconds"),
    [
        (error(message="Rate limit reached", type="tokens", code="rate_limit_exceeded"), "7", 7),
        (error(message="Rate limit reached", type="requests", code="rate_limit_exceeded"), None, 1),
        (error(message="Please try again in 9.8s.", type="tokens", code="rate_limit_exceeded"), None, 10),
        (
            error(message="Your quota will reset after 0s. You have exhausted your capacity on this model."),
            None,
            10,
        ),
        (error(message="Limited on tokens per day. Try again in 9m3s", code="rate_limit_exceeded"), None, 60),
        (error(message="The model is overloaded", type="engine_overloaded_error"), None, 5),
        (
            [error(code=429, message="m", status="RESOURCE_EXHAUSTED", details=[{"retryDelay": "26s"}])],
            None,
            26,
        ),
        (error(code=429, message="You exceeded your current quota", status="RESOURCE_EXHAUSTED"), "0", 1),
        (error(message="当前分组上游负载已饱和", type="one_api_error"), "2.9", 3),
        ([error(code=429, message="Please retry", status="RESOURCE_EXHAUSTED")], "86400", 60),
        ({"code": 20015, "message": "Request was rejected due to rate limiting", "data": None}, "-5", 1),
        (b"<html>Too many requests</html>", "Sun, 01 Mar 2026 07:28:00 GMT", 1),
        (b"<html>Too many requests</html>", "Mon, 02 Mar 2026 12:00:20 GMT", 20),
        (b"", "nan", 1),
        (b"", "inf", 60),
    ],
)
def test_a_limited_rate_says_how_long_to_wait_within_a_minute(body, retry_after, seconds: int) -> None:
    failed = classified(429, body, retry_after)

    assert isinstance(failed.error, UpstreamRateLimitedError)
    assert failed.may_fail_over
    assert failed.error.context["seconds"] == seconds
    assert failed.error.is_retryable


@pytest.mark.parametrize(
    ("base_url", "error_class"),
    [
        ("https://dashscope.aliyuncs.com/compatible-mode", UpstreamRateLimitedError),
        ("https://api.openai.com", UpstreamUnavailableError),
        ("https://relay.example", UpstreamUnavailableError),
    ],
)
def test_the_channels_address_tells_whose_words_they_are(base_url: str, error_class: type) -> None:
    failed = classified(429, error(message="m", code="insufficient_quota"), base_url=base_url)

    assert isinstance(failed.error, error_class)


@pytest.mark.parametrize(
    ("status", "body", "base_url"),
    [
        (
            429,
            error(message="Request too large for gpt-4o: Limit 30000", code="rate_limit_exceeded"),
            "https://api.openai.com",
        ),
        (
            413,
            error(message="Request too large: Limit 6000", code="rate_limit_exceeded"),
            "https://api.groq.com/openai",
        ),
        (
            402,
            error(
                code=402,
                message="can only afford 2666: openrouter.ai/settings/credits",
                metadata={"reason": "weight_exceeds_budget"},
            ),
            "https://openrouter.ai/api",
        ),
        (402, error(code=402, message="Prompt tokens limit exceeded: 9 > 2666"), "https://openrouter.ai/api"),
    ],
)
def test_what_one_account_is_too_small_for_may_fit_another_and_is_told_as_too_large(
    status, body, base_url
) -> None:
    failed = classified(status, body, base_url=base_url)

    assert isinstance(failed.error, TooLargeForAccountError)
    assert failed.may_fail_over
    assert (failed.error.http_status, failed.error.code) == (413, "request_too_large")
    assert not failed.error.is_retryable
    for theirs in ("afford", "2666", "credits", "imit", "30000", "6000"):
        assert theirs not in failed.error.full_text


@pytest.mark.parametrize("status", [204, 301, 308])
def test_an_answer_that_is_no_error_and_no_completion_is_a_failure_whatever_it_says(status: int) -> None:
    failed = classified(status, error(message="m", code="invalid_api_key"))

    assert isinstance(failed.error, UpstreamFailedError)
    assert failed.may_fail_over


def test_what_fits_nowhere_is_tried_nowhere_else() -> None:
    body = error(message="Input token count exceeds the context length")

    failed = classified(403, body, base_url="https://api.together.xyz")

    assert isinstance(failed.error, UpstreamRejectedError)
    assert not failed.may_fail_over
    assert failed.error.http_status == 413


@pytest.mark.parametrize(
    ("status", "body", "base_url"),
    [
        (403, b"", "https://api.together.xyz"),
        (403, b"<html>You are unable to access together.xyz</html>", "https://api.together.xyz"),
        (403, error(message="Your key may not use this model"), "https://api.together.xyz"),
        (
            400,
            b"<html>The plain HTTP request was sent to HTTPS port, context</html>",
            "https://relay.example",
        ),
        (403, b"<html>max context length</html>", "https://api.together.xyz"),
        (413, b"", "https://relay.example"),
        (400, b'{"error": {"message": null}}', "https://relay.example"),
    ],
)
def test_a_page_or_a_status_alone_is_never_the_last_word(status: int, body: Any, base_url: str) -> None:
    assert classified(status, body, base_url=base_url).may_fail_over


def test_a_code_without_a_message_is_an_answer_of_the_provider() -> None:
    assert not classified(400, error(code="context_length_exceeded")).may_fail_over


@pytest.mark.parametrize(
    ("body", "base_url", "error_type", "may_fail_over", "is_out_of_money"),
    [
        (
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            "https://api.minimax.io",
            UpstreamUnavailableError,
            True,
            True,
        ),
        (
            {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": None},
            "https://relay.example",
            UpstreamRateLimitedError,
            True,
            False,
        ),
        (
            {"base_resp": {"status_code": 1026, "status_msg": "input is sensitive"}},
            "https://api.minimax.io",
            UpstreamRejectedError,
            False,
            False,
        ),
        (
            {"error_code": 17, "error_msg": "Open api daily request limit reached"},
            "https://qianfan.baidubce.com",
            UpstreamUnavailableError,
            True,
            True,
        ),
        (error(code="insufficient_quota"), "https://api.openai.com", UpstreamUnavailableError, True, True),
        (error(message="secret words"), "https://relay.example", UpstreamFailedError, True, False),
        ({"id": "x"}, "https://relay.example", UpstreamFailedError, False, False),
        ([7], "https://relay.example", UpstreamFailedError, False, False),
    ],
)
def test_an_error_that_is_told_with_success_is_taken_for_what_it_is(
    body, base_url, error_type, may_fail_over, is_out_of_money
) -> None:
    failed = classified(200, body, base_url=base_url)

    assert type(failed.error) is error_type
    assert failed.error.http_status >= 400
    assert failed.may_fail_over == may_fail_over
    assert failed.is_out_of_money == is_out_of_money
    if error_type is not UpstreamRejectedError:
        for theirs in ("balance", "secret", "daily"):
            assert theirs not in failed.error.full_text


def test_a_caller_who_quotes_an_error_is_told_that_the_request_is_wrong() -> None:
    message = 'Invalid value: \'{"error":{"code":"insufficient_quota"}}\'. Supported values are \'a\'.'

    failed = classified(400, error(message=message), base_url="https://api.openai.com")

    assert isinstance(failed.error, UpstreamRejectedError)
    assert (failed.may_fail_over, failed.is_out_of_money) == (False, False)


def test_a_key_in_the_words_of_a_provider_is_not_passed_on() -> None:
    failed = classified(
        400,
        error(
            message="bad header: Bearer sk-abcd1234efgh5678",
            code="sk-abcd1234efgh",
            param="sk-abcd1234efgh5678",
        ),
    )

    assert isinstance(failed.error, UpstreamRejectedError)
    assert "abcd1234" not in str(failed.error)
    assert "abcd1234" not in failed.error.code
    assert failed.error.context["param"] == "…"


@pytest.mark.parametrize(
    ("status", "body", "is_out_of_money"),
    [
        (429, error(message="m", code="insufficient_quota"), True),
        (400, error(message="m", code="billing_hard_limit_reached"), True),
        (402, b"", True),
        (429, error(message="m", code="rate_limit_exceeded"), False),
        (401, error(message="m", code="invalid_api_key"), False),
        (403, b"", False),
        (400, error(message="m"), False),
        (503, b"", False),
    ],
)
def test_only_an_account_without_money_is_worth_a_question(status, body, is_out_of_money: bool) -> None:
    assert classified(status, body).is_out_of_money == is_out_of_money


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 408, 409, 301, 204])
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad gateway</html>", b'{"error": {"message": "overloaded", "type": "api_error"}}']
)
def test_a_failing_provider_is_passed_over(status: int, body: bytes) -> None:
    failed = classified(status, body)

    assert isinstance(failed.error, UpstreamFailedError)
    assert failed.may_fail_over
    assert failed.error.http_status == 502


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_wrong_request_is_told_in_the_providers_words_and_tried_nowhere_else(status: int) -> None:
    body = error(message="'x' is too long", type="invalid_request_error", param="x", code="too_long")

    failed = classified(status, body)

    assert isinstance(failed.error, UpstreamRejectedError)
    assert not failed.may_fail_over
    assert (failed.error.http_status, failed.error.code) == (status, "too_long")
    assert failed.error.context["param"] == "x"
    assert str(failed.error) == "'x' is too long"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (error(message="100% of %(reason)s"), "100% of %(reason)s"),
        ([error(message="in a list")], "in a list"),
        ({"code": "c", "error": "a plain text"}, "a plain text"),
        ({"message": "at the top", "code": 20012}, "at the top"),
        (error(message="m" * 2_000), "m" * 500),
        (error(message=None), "The provider answered 400."),
        ({"error": None}, "The provider answered 400."),
        ({"error": 7}, "The provider answered 400."),
        ([], "The provider answered 400."),
        ([7], "The provider answered 400."),
        (b"null", "The provider answered 400."),
        (b"<html>Bad request</html>", "The provider answered 400."),
        (b"\xff\xfe", "The provider answered 400."),
        (b"[" * 60_000, "The provider answered 400."),
        (b"", "The provider answered 400."),
    ],
)
def test_an_error_is_read_in_any_shape(body: Any, says: str) -> None:
    failed = classified(400, body)

    assert isinstance(failed.error, UpstreamRejectedError)
    assert str(failed.error) == says


@pytest.mark.parametrize("code", [None, "", 400, "c", ["c"], {"c": 1}])
def test_a_code_of_any_type_is_read_as_text(code: Any) -> None:
    failed = classified(400, error(message="m", code=code, param=7))

    assert failed.error.code == str(code or "upstream_rejected")
    assert failed.error.context["param"] is None
