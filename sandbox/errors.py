"""Errors as a provider words them: OpenAI's statuses, bodies and headers, and one of Google's."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

Headers = Sequence[tuple[bytes, bytes]]

INVALID_REQUEST: Final = "invalid_request_error"


class ApiError(Exception):
    """An answer other than 200: its status, its JSON body, and headers of its own."""

    def __init__(self, status: int, error: Mapping[str, Any], headers: Headers = ()) -> None:
        super().__init__(status, error)
        self.status = status
        self.body: dict[str, Any] = {"error": dict(error)}
        self.headers = headers


def openai_error(
    status: int,
    message: str,
    *,
    kind: str = INVALID_REQUEST,
    param: str | None = None,
    code: str | None = None,
    headers: Headers = (),
) -> ApiError:
    """Build an error of OpenAI's shape; ``kind`` is its ``type``."""
    return ApiError(status, {"message": message, "type": kind, "param": param, "code": code}, headers)


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    return openai_error(400, message, param=param, code=code)


def unparseable_body() -> ApiError:
    return bad_request(
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        "HTTP library correctly. The API expects a JSON payload, but what was sent was not valid JSON.)"
    )


def body_too_large(limit: int) -> ApiError:
    return openai_error(
        413, f"Request body is too large: the limit is {limit} bytes.", code="request_too_large"
    )


def unknown_url(method: str, path: str) -> ApiError:
    return openai_error(404, f"Invalid URL ({method} {path})", code="unknown_url")


def method_not_allowed(method: str, path: str, allowed: str) -> ApiError:
    return openai_error(
        405,
        f"Not allowed to {method} on {path} (HINT: Perhaps you meant to make a {allowed} request?)",
        code="method_not_supported",
        headers=((b"allow", allowed.encode()),),
    )


def model_not_found(model: str) -> ApiError:
    return openai_error(
        404, f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found"
    )


def missing_key() -> ApiError:
    return openai_error(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header using "
        "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    )


def invalid_key(key: str) -> ApiError:
    shown = f"{key[:7]}{'*' * 8}{key[-4:]}" if len(key) > 16 else "*" * 8
    return openai_error(
        401,
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def loopback_only() -> ApiError:
    return openai_error(403, "The sandbox's controls answer on loopback only.", code="loopback_only")


def insufficient_quota() -> ApiError:
    """The prepaid balance is used up."""
    return openai_error(
        429,
        "You exceeded your current quota, please check your plan and billing details. For more information "
        "on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        kind="insufficient_quota",
        code="insufficient_quota",
    )


def spend_limit_reached() -> ApiError:
    """The monthly cap set by the account's owner is reached; OpenAI answers 400, not 429."""
    return bad_request("Billing hard limit has been reached", code="billing_hard_limit_reached")


def rate_limited(model: str) -> ApiError:
    return openai_error(
        429,
        f"Rate limit reached for {model} in organization org-sandbox on requests per min (RPM): Limit 60, "
        "Used 60, Requested 1. Please try again in 2s. Visit "
        "https://platform.openai.com/account/rate-limits to learn more.",
        kind="requests",
        code="rate_limit_exceeded",
        headers=(
            (b"retry-after", b"2"),
            (b"x-ratelimit-limit-requests", b"60"),
            (b"x-ratelimit-remaining-requests", b"0"),
            (b"x-ratelimit-reset-requests", b"2s"),
            (b"x-ratelimit-limit-tokens", b"60000"),
            (b"x-ratelimit-remaining-tokens", b"59900"),
            (b"x-ratelimit-reset-tokens", b"100ms"),
        ),
    )


def exhausted_capacity(model: str, *, at: datetime) -> ApiError:
    """Google Code Assist's throttle as relays pass it on; "0s" is 539 ms, rounded down."""
    resets_at = at + timedelta(milliseconds=539)
    return ApiError(
        429,
        {
            "code": 429,
            "message": ("You have exhausted your capacity on this model. Your quota will reset after 0s."),
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "cloudcode-pa.googleapis.com",
                    "metadata": {
                        "model": model,
                        "quotaResetDelay": "539.477544ms",
                        "quotaResetTimeStamp": resets_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    },
                },
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.539477544s"},
            ],
        },
    )


def server_error() -> ApiError:
    return openai_error(
        500, "The server had an error while processing your request. Sorry about that!", kind="server_error"
    )
