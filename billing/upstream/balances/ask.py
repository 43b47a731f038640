"""Asking a provider over HTTP, and telling "not now" from "no"."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.errors import BalanceUnavailableError
from billing.upstream.balances.parsing import refusal
from billing.upstream.client import (
    TIMEOUT,
    Answer,
    UpstreamAnswerTooLargeError,
    UpstreamCallError,
    send,
)

DEADLINE = timedelta(seconds=30)
"""Somebody may be waiting, and some answers come in many pages."""
SHORTEST_SECRET = 6
"""Anything shorter hides nothing, and replacing it could turn one amount into another."""
_LONGEST_WAIT_S = 24 * 60 * 60
_MOST_HEARD = 16_384
_BUSY = (408, 429)
_WORDS = ("message", "Message", "msg", "reason")


def bearer(key: str) -> dict[str, str]:
    """The header that most providers want a key in."""
    return {"authorization": f"Bearer {key}"}


class Ask:
    """Asks, and gives only what is a JSON object and says nothing of an error.

    :param now: the time of asking; it also decides which month is asked about
    :param secrets: what no error may repeat
    :param timeout: for each answer
    :param deadline: for all of them together, from now on
    :param clock: tells seconds
    """

    def __init__(
        self,
        *,
        now: datetime,
        secrets: Iterable[str] = (),
        timeout: timedelta = TIMEOUT,
        deadline: timedelta = DEADLINE,
        transport: Callable[..., Answer] = send,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST_SECRET for form in _forms(secret)}
        self.now = now
        self.heard: list[str] = []
        """What was asked and answered so far, without secrets, for whoever has to find out why."""
        self._secrets = sorted(forms, key=len, reverse=True)
        self._timeout = timeout
        self._deadline = deadline
        self._transport = transport
        self._clock = clock
        self._began = clock()

    def get(
        self, url: str, *, headers: Mapping[str, str] | None = None, busy: Collection[int] = ()
    ) -> dict[str, Any]:
        """Read an address.

        :param busy: statuses beyond the usual by which this provider says that it is asked too often
        :raises BalanceUnavailableError: if there is no answer, or one that may be another soon
        :raises BalanceRefusedError: if the answer is no, or not understood
        """
        return self._checked("GET", url, headers=headers or {}, body=None, busy=busy)

    def post(self, url: str, *, headers: Mapping[str, str], body: bytes = b"") -> dict[str, Any]:
        """Read what is only told to a POST; raises as :meth:`get` does."""
        return self._checked("POST", url, headers=headers, body=body, busy=())

    def _checked(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, busy: Collection[int]
    ) -> dict[str, Any]:
        if not all(value.isascii() and value.isprintable() for value in headers.values()):
            raise refusal(_("A key has characters that no key has: enter it again."))
        left = self._left()
        if not left:
            raise self._too_late()
        try:
            answer = self._transport(
                method,
                url,
                headers={"accept": "application/json", **headers},
                body=body,
                secrets=self._secrets,
                timeout=min(self._timeout, left),
            )
        except UpstreamAnswerTooLargeError as exc:
            raise refusal(str(exc)) from exc
        except UpstreamCallError as exc:
            if not self._left():
                raise self._too_late() from exc
            raise BalanceUnavailableError(reason=self._redacted(str(exc))) from exc
        self.heard.append(f"{method} {urlsplit(url).path} {answer.status}\n{answer.text[:_MOST_HEARD]}")
        if answer.status >= 500 or answer.status in _BUSY or answer.status in busy:
            error = BalanceUnavailableError(reason=_failure(answer))
            error.retry_after_s = _seconds(answer.retry_after, now=self.now)
            raise error
        if answer.failure:
            raise refusal(_failure(answer), status=answer.status)
        data: dict[str, Any] = answer.data
        return data

    def _left(self) -> timedelta:
        took = timedelta(seconds=self._clock() - self._began)
        return max(self._deadline - took, timedelta())

    def _too_late(self) -> BalanceUnavailableError:
        reason = _("No complete answer within %(seconds)s seconds.") % {"seconds": self._deadline.seconds}
        return BalanceUnavailableError(reason=reason)

    def _redacted(self, words: str) -> str:
        for secret in self._secrets:
            words = words.replace(secret, "…")
        return words


def _forms(secret: str) -> set[str]:
    """The ways in which an answer may repeat a secret: as it is, in a URL, and within JSON."""
    in_json = json.dumps(secret)[1:-1]
    return {secret, quote(secret, safe=""), quote(secret), in_json, in_json.replace("/", "\\/")}


def _failure(answer: Answer) -> str:
    """Why it is no success, with the provider's words from wherever they are."""
    failure = answer.failure
    if failure != f"HTTP {answer.status}":
        return failure
    words = _said(answer.data) if answer.data is not None else _first_line(answer.text)
    return f"{failure}: {words[:500]}" if words else failure


def _said(data: Any, *, depth: int = 2) -> str:
    if not isinstance(data, dict):
        return data if isinstance(data, str) and depth == 2 else ""
    for name in _WORDS:
        if isinstance(words := data.get(name), str) and words:
            return words
    nested = (_said(value, depth=depth - 1) for value in data.values()) if depth else iter(())
    return next(filter(None, nested), "")


def _first_line(body: str) -> str:
    line = body.strip().partition("\n")[0].strip()
    return "" if line.startswith("<") or not line.isprintable() else line[:200]


def _seconds(retry_after: str, *, now: datetime) -> int | None:
    """The wait that a ``Retry-After`` asks for, in seconds or until a date; a day at most."""
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        wait = int(retry_after)
    else:
        try:
            until = parsedate_to_datetime(retry_after)
        except ValueError:
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        wait = round((until - now).total_seconds())
    return max(1, min(wait, _LONGEST_WAIT_S))
