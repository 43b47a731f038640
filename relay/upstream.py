"""Calling a channel, and reading what a provider's error means."""

import json
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError, RequestTimeoutError
from pyreqwest.http import Url
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from oneapi_admin.lib.errors import DomainError
from relay.errors import (
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from relay.planning import Attempt

_ERROR_BODY_BYTES = 64 * 1024
_OURS = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "account_deactivated",
    "invalid_api_key",
    "insufficient_user_quota",
    "pre_consume_token_quota_failed",
    "arrearage",
    "quota_exceeded",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "exceeded_current_quota_error",
    "budget_exceeded",
    "1113",
}
"""Codes by which providers refuse our account, whatever the status. Source: the providers' error pages."""
_OUR_WORDS = (
    "your credit balance is too low",
    "you have reached your specified",
    "api key not valid",
    "api key expired",
)
"""How Anthropic and Gemini begin a refusal of our account that has the status and code of a bad request."""
_LONGEST_WAIT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamError(Exception):
    """What went wrong, as the caller is told, and whether another channel may do better."""

    error: DomainError
    may_fail_over: bool


def build_client() -> Client:
    """One client for the process: pooled connections, TLS, no redirects that would carry a key elsewhere."""
    return (
        ClientBuilder()
        .follow_redirects(False)
        .connect_timeout(timedelta(seconds=10))
        .pool_max_idle_per_host(512)
        .pool_idle_timeout(timedelta(seconds=60))
        .user_agent("oneapi-admin")
        .default_headers({"content-type": "application/json"})
        .build()
    )


@dataclass(slots=True)
class OpenCall:
    """A call that a channel answered with success; close it, however it ends."""

    response: Response
    """Its body is unread."""
    _request: StreamRequest

    async def close(self) -> None:
        await self._request.__aexit__(None, None, None)


async def open_call(client: Client, attempt: Attempt, body: bytes, seconds: float) -> OpenCall:
    """Send a chat completion to a channel.

    :param seconds: what is left of the call's time
    :raises UpstreamError: if there is no answer, or a refusal
    """
    model = attempt.served_model
    try:
        request = (
            client.post(_chat_url(attempt.route.base_url))
            .bearer_auth(attempt.route.key)
            .timeout(timedelta(seconds=max(seconds, 0.1)))
            .body_bytes(body)
            .streamed_read_buffer_limit(
                0
            )  # else the client waits for 64 KiB, or the end, before the first event
            .build_streamed()
        )
    except ValueError as exc:  # a key that no header can carry, an address that is none
        error = UpstreamUnavailableError(model=model, reason="invalid key or address")
        raise UpstreamError(error=error, may_fail_over=True) from exc
    try:
        opened = OpenCall(await request.__aenter__(), request)
        if opened.response.status == 200:
            return opened
        try:
            raise await _error_of(opened.response, model)
        finally:
            await opened.close()
    except RequestError as exc:
        raise transport_error(exc, model) from exc


@lru_cache(maxsize=1024)
def _chat_url(base_url: str) -> Url:
    return Url(f"{base_url}/v1/chat/completions")


def transport_error(exc: RequestError, model: str) -> UpstreamError:
    """No answer, or one that broke off."""
    if isinstance(exc, RequestTimeoutError):
        return UpstreamError(error=UpstreamTimeoutError(model=model), may_fail_over=False)
    reason = type(exc).__name__.removesuffix("Error")
    return UpstreamError(error=UpstreamFailedError(model=model, reason=reason), may_fail_over=True)


async def _error_of(response: Response, model: str) -> UpstreamError:
    raw = bytearray()
    while len(raw) < _ERROR_BODY_BYTES and (chunk := await response.body_reader.read_chunk()):
        raw += chunk
    return classify(
        status=response.status, body=bytes(raw), retry_after=response.get_header("retry-after"), model=model
    )


def classify(*, status: int, body: bytes, retry_after: str | None, model: str) -> UpstreamError:
    """Decide whose fault a provider's refusal is, by status and code, then by status alone."""
    code, kind, message, param = _read_error(body)
    reason = f"{status} {code or kind or ''}".strip()
    is_ours = {code.lower(), kind.lower()} & _OURS or message.lower().startswith(_OUR_WORDS)
    if is_ours or status in (401, 402, 403, 404):
        return UpstreamError(error=UpstreamUnavailableError(model=model, reason=reason), may_fail_over=True)
    if status == 429:
        seconds = _wait_seconds(retry_after)
        return UpstreamError(error=UpstreamRateLimitedError(model=model, seconds=seconds), may_fail_over=True)
    if status >= 500 or status < 400 or status in (408, 409):
        return UpstreamError(error=UpstreamFailedError(model=model, reason=reason), may_fail_over=True)
    rejected = UpstreamRejectedError(
        status=status,
        upstream_code=code or None,
        param=param,
        reason=message or f"The provider answered {status}.",
    )
    return UpstreamError(error=rejected, may_fail_over=False)


def _read_error(body: bytes) -> tuple[str, str, str, str | None]:
    """Code, type, message and parameter of an error body, in any of the shapes that providers use."""
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError):
        return "", "", "", None
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return "", "", "", None
    error = parsed.get("error", parsed)
    if isinstance(error, str):
        return str(parsed.get("code") or ""), "", error[:500], None
    if not isinstance(error, dict):
        return "", "", "", None
    param = error.get("param")
    return (
        str(error.get("code") or ""),
        str(error.get("type") or ""),
        str(error.get("message") or "")[:500],
        param if isinstance(param, str) else None,
    )


def _wait_seconds(retry_after: str | None) -> int:
    try:
        return int(min(max(float(retry_after or ""), 1), _LONGEST_WAIT))
    except ValueError:  # a date, nothing, or not a number
        return 1
