"""Calling a channel, and reading what a provider's error means."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError, RequestTimeoutError
from pyreqwest.http import Url
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from billing.upstream.diagnoses.bodies import MAX_BYTES
from billing.upstream.diagnoses.classes import ErrorClass, Responsible
from billing.upstream.diagnoses.diagnosing import Diagnosis, diagnose
from oneapi_admin.lib.errors import DomainError
from relay.errors import (
    TooLargeForAccountError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from relay.planning import Attempt

_LONGEST_WAIT = 60
"""In seconds: client libraries wait no longer, or far too long."""
_OURS = frozenset(
    {
        ErrorClass.SPEND_LIMIT,
        ErrorClass.CREDIT_EXHAUSTED,
        ErrorClass.PLAN_DENIED,
        ErrorClass.AUTH_INVALID,
        ErrorClass.ACCOUNT_SUSPENDED,
    }
)
"""Refusals of our account, which are no affair of the caller's."""
_LIMITED = frozenset({ErrorClass.RATE_LIMITED, ErrorClass.WINDOW_QUOTA})
_REJECTED = frozenset({ErrorClass.TOO_LARGE, ErrorClass.BAD_REQUEST})
_TOO_LARGE = (400, 413, 422)
"""The statuses that tell callers so; others send such a request again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamError(Exception):
    """What went wrong, as the caller is told, and whether another channel may do better."""

    error: DomainError
    may_fail_over: bool
    diagnosis: Diagnosis | None = None
    """What the provider's answer means; None if there was none."""

    @property
    def is_out_of_money(self) -> bool:
        """Whether the provider says that the account has nothing left, or reached a limit."""
        return self.diagnosis is not None and self.diagnosis.is_out_of_money


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
    """Its body is unread, but for what was read ahead."""
    _request: StreamRequest
    _ahead: bytes = b""

    async def read_chunk(self) -> bytes | None:
        """What comes next of the body; None at its end."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        chunk = await self.response.body_reader.read_chunk()
        return None if chunk is None else bytes(chunk)

    async def read_json_ahead(self) -> bytes:
        """The whole answer if it is JSON and no longer than an error is; it stays to be read.

        Empty for all that may be a stream: its first event waits for nothing.
        """
        if not self._is_called_json:
            return b""
        read = bytearray()
        try:
            while chunk := await self.response.body_reader.read_chunk():
                read += chunk
                if len(read) > MAX_BYTES or not read.lstrip().startswith((b"{", b"[")):
                    return b""
            return bytes(read)
        finally:
            self._ahead = bytes(read)

    @property
    def _is_called_json(self) -> bool:
        with suppress(ValueError):
            return self.response.headers.get("content-type", "").lower().startswith("application/json")
        return False

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
        if opened.response.status == HTTPStatus.OK:
            return opened
        try:
            raise await _error_of(opened.response, attempt)
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


async def _error_of(response: Response, attempt: Attempt) -> UpstreamError:
    raw = bytearray()
    while len(raw) < MAX_BYTES and (chunk := await response.body_reader.read_chunk()):
        raw += chunk
    return error_in(bytes(raw), response, attempt)


def error_in(body: bytes, response: Response, attempt: Attempt) -> UpstreamError:
    """What is wrong when an answer is no completion, whatever its status."""
    return classify(
        status=response.status,
        body=body,
        headers=_headers(response),
        base_url=attempt.route.base_url,
        model=attempt.served_model,
        at=datetime.now(tz=UTC),
    )


def _headers(response: Response) -> dict[str, str]:
    """Those that are text."""
    headers = {}
    for name in response.headers:
        with suppress(ValueError):
            headers[name] = response.headers[name]
    return headers


def classify(
    *, status: int, body: bytes, headers: Mapping[str, str], base_url: str, model: str, at: datetime
) -> UpstreamError:
    """Decide whose fault a provider's refusal is, and whether another channel may do better.

    :param at: when it arrived
    """
    diagnosis = diagnose(status=status, body=body, headers=headers, base_url=base_url, at=at)
    if status == HTTPStatus.OK and diagnosis.error_class == ErrorClass.NOT_AN_ERROR:
        error = UpstreamFailedError(model=model, reason="no completion in the answer")
        return UpstreamError(error=error, may_fail_over=False)
    told = _error(diagnosis, status, model)
    # What is too large for one account may fit another one, and a page may be anybody's.
    is_final = isinstance(told, UpstreamRejectedError) and diagnosis.matched.is_structured
    return UpstreamError(error=told, may_fail_over=not is_final, diagnosis=diagnosis)


def _error(diagnosis: Diagnosis, status: int, model: str) -> DomainError:
    """What the caller is told."""
    matched, means = diagnosis.matched, diagnosis.error_class
    reason = f"{status} {matched.code or matched.type}".strip()
    if status < 400 and status != HTTPStatus.OK:
        return UpstreamFailedError(model=model, reason=reason)
    if means in _OURS or (means == ErrorClass.UNKNOWN and status == 403):
        return UpstreamUnavailableError(model=model, reason=reason)
    if means in _LIMITED or (means == ErrorClass.OVERLOADED and status == 429):
        seconds = min(max(diagnosis.retry_after_s or 1, 1), _LONGEST_WAIT)
        return UpstreamRateLimitedError(model=model, seconds=seconds)
    if means in _REJECTED and diagnosis.responsible == Responsible.OPERATOR:
        return TooLargeForAccountError(model=model)
    if means in _REJECTED:
        is_told = means == ErrorClass.BAD_REQUEST or status in _TOO_LARGE
        return UpstreamRejectedError(
            status=max(status, 400) if is_told else 413,
            upstream_code=matched.code or None,
            param=matched.param,
            reason=(matched.message if matched.is_structured else "") or f"The provider answered {status}.",
        )
    return UpstreamFailedError(model=model, reason=reason)
