"""What providers' refusals are taken for: the shapes and codes that they are known to send."""

import json
from typing import Any

import pytest

from relay.errors import (
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamUnavailableError,
)
from relay.upstream import UpstreamError, classify


def classified(status: int, body: Any, retry_after: str | None = None) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(status=status, body=raw, retry_after=retry_after, model="gpt-4o")


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
        (error(code=429, message="You exceeded your current quota", status="RESOURCE_EXHAUSTED"), "0", 1),
        (error(message="当前分组上游负载已饱和", type="one_api_error"), "2.9", 2),
        ([error(code=429, message="Please retry", status="RESOURCE_EXHAUSTED")], "86400", 60),
        ({"code": 20015, "message": "Request was rejected due to rate limiting", "data": None}, "-5", 1),
        (b"<html>Too many requests</html>", "Wed, 21 Oct 2026 07:28:00 GMT", 1),
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
