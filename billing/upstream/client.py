"""The HTTP client for what the console asks of providers (tests, model lists, balances) and tells webhooks.

Calls are short and rare; the relay has a client of its own.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from django.utils.translation import gettext_lazy as _
from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import ConnectTimeoutError, PyreqwestError, RequestTimeoutError
from pyreqwest.request import SyncRequestBuilder

from oneapi_admin.lib.errors import DomainError

TIMEOUT = timedelta(seconds=15)
WEBHOOK_TIMEOUT = timedelta(seconds=10)
CONNECT_TIMEOUT = timedelta(seconds=5)
MAX_BODY = 2 * 1024 * 1024


class UpstreamCallError(DomainError):
    """The provider could not be asked, or its answer says no or cannot be understood."""

    code = "upstream_call_failed"
    http_status = 502
    message = _("%(reason)s")


class UpstreamAnswerTooLargeError(UpstreamCallError):
    """The provider did answer, with more than anybody wants to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider answered; numbers with a point are read as Decimal."""

    status: int
    data: Any
    """The parsed JSON; None when it is none."""
    text: str
    elapsed_ms: int
    retry_after: str = ""
    """The header of that name as it came."""

    @property
    def failure(self) -> str:
        """Why this is no success, in words; empty when it is one."""
        said = _error_text(self.data)
        if self.status >= 400:
            return f"HTTP {self.status}: {said}" if said else f"HTTP {self.status}"
        if self.status >= 300:
            return str(
                _("HTTP %(status)s: it redirects elsewhere; check the base URL.") % {"status": self.status}
            )
        if said:
            return said
        if not isinstance(self.data, dict):
            is_page = self.text.lstrip()[:1] == "<"
            return str(
                _("It answered with a web page instead of JSON; check the base URL.")
                if is_page
                else _("It answered with something that is not JSON; check the base URL.")
            )
        return ""


def call(method: str, base_url: str, path: str, *, key: str, body: dict[str, Any] | None = None) -> Answer:
    """Make one call with a provider's key; no redirect is followed, so that the key stays with its host.

    :param path: begins with ``/v1/``
    :raises UpstreamCallError: if there is no answer, or one larger than 2 MiB
    """
    started = time.perf_counter()
    try:
        request = _client(os.getpid()).request(method, f"{base_url}{path}").bearer_auth(key)
        if body is not None:
            request = request.body_json(body)
        return _answer(request, secrets=[key], started=started)
    except (PyreqwestError, ValueError) as exc:
        raise UpstreamCallError(reason=_reason(exc, TIMEOUT)) from exc


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    secrets: Iterable[str] = (),
    timeout: timedelta = TIMEOUT,
) -> Answer:
    """Make one call with any headers; no redirect is followed.

    :param secrets: what the text of the answer must not repeat
    :raises UpstreamCallError: if there is no answer
    :raises UpstreamAnswerTooLargeError: if it is larger than 2 MiB
    """
    started = time.perf_counter()
    try:
        request = _client(os.getpid()).request(method, url).timeout(timeout)
        for name, value in headers.items():
            request = request.header(name, value, is_sensitive=True)
        if body is not None:
            request = request.body_bytes(body)
        return _answer(request, secrets=secrets, started=started)
    except (PyreqwestError, ValueError) as exc:
        raise UpstreamCallError(reason=_reason(exc, timeout)) from exc


def _answer(request: SyncRequestBuilder, *, secrets: Iterable[str], started: float) -> Answer:
    with request.build_streamed() as response:
        status, raw = response.status, b""
        retry_after = response.get_header("retry-after") or ""
        while chunk := response.body_reader.read_chunk():
            raw += bytes(chunk)
            if len(raw) > MAX_BODY:
                raise UpstreamAnswerTooLargeError(reason=_("The answer is larger than 2 MiB."))
    text = raw.decode("utf-8", "replace")
    for secret in filter(None, secrets):
        text = text.replace(secret, "…")
    elapsed = round((time.perf_counter() - started) * 1000)
    return Answer(status=status, data=_parsed(text), text=text, elapsed_ms=elapsed, retry_after=retry_after)


def notify(url: str, *, body: bytes, headers: Mapping[str, str]) -> int:
    """Post JSON to a receiver of webhooks; no redirect is followed, and only the status is read.

    :returns: the status
    :raises UpstreamCallError: if there is none
    """
    request = _client(os.getpid()).post(url).headers({"content-type": "application/json", **headers})
    try:
        with request.body_bytes(body).timeout(WEBHOOK_TIMEOUT).build_streamed() as response:
            return response.status
    except (PyreqwestError, ValueError) as exc:
        raise UpstreamCallError(reason=_reason(exc, WEBHOOK_TIMEOUT)) from exc


@cache
def _client(_process_id: int) -> SyncClient:
    """One client a process: its connections do not survive a fork."""
    builder = SyncClientBuilder().follow_redirects(False).referer(False)
    return builder.timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).user_agent("oneapi-admin").build()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError):  # Decimal has no exponent of twenty digits
        return None


def _refuse(name: str) -> None:
    raise ValueError(name)


def _error_text(data: Any) -> str:
    """The message in the shapes that providers use: an error object, a text, or a list of one."""
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return ""
    error = data.get("error")
    if isinstance(error, dict):
        words = error.get("message") or error.get("code") or error.get("type") or "error"
        return str(words)[:500]
    if error:
        return str(error)[:500]
    if data.get("success") is False or data.get("detail"):
        return str(data.get("message") or data.get("detail") or "error")[:500]
    return ""


def _reason(exc: Exception, timeout: timedelta) -> str:
    details = getattr(exc, "details", None) or {}
    causes = " ".join(cause["message"] for cause in details.get("causes") or [])
    # An answer that does not begin in time is a "connect timeout" to the library, too.
    if isinstance(exc, ConnectTimeoutError) and "(Connect)" in causes:
        return str(_("No connection within %(seconds)s seconds.") % {"seconds": CONNECT_TIMEOUT.seconds})
    if isinstance(exc, ConnectTimeoutError | RequestTimeoutError):
        return str(_("No complete answer within %(seconds)s seconds.") % {"seconds": timeout.seconds})
    if "dns error" in causes:
        return str(_("The host name could not be found."))
    if "refused" in causes:
        return str(_("The connection was refused: nothing listens at this address."))
    if "certificate" in causes:
        return str(_("The certificate of the server could not be verified."))
    last = (details.get("causes") or [{"message": str(exc)}])[-1]["message"]
    return str(_("The connection failed: %(cause)s") % {"cause": last})
