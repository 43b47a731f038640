"""What stands between the server and Django's threads, so that slow or greedy clients cannot hold them.

Requests are read whole before a thread takes them, within limits of size and time; answers leave the thread
for a buffer, which the client empties at its own speed, within a limit of time.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from oneapi_admin.lib.api.middleware import PREFIX
from oneapi_admin.lib.api.problems import problem_response
from oneapi_admin.lib.request_id import HEADER, new_request_id

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_SECONDS: Final = 30.0
"""In which a whole request body has to arrive."""
ALL_BODIES_BYTES: Final = 64 * 1024 * 1024
"""What the bodies that are being read may take together, in one process."""
STALLED_SECONDS: Final = 30.0
"""After which an answer that the client does not read is dropped."""
BUFFER_BYTES: Final = 1024 * 1024
"""What one answer may have waiting for its client before the thread that makes it has to wait, too."""

# Set by whoever likes to: who called, and how, is told by the connection, or by a trusted proxy through it.
FORWARDING_HEADERS: Final = re.compile(
    rb"(x-)?(forwarded|real-ip|client-ip|cluster-client-ip)(-.*)?|(cf|fastly|true)-(connecting|client)-ip|via"
)
_MESSAGES: Final = {
    400: _("The connection ended before the request did."),
    408: _("The request took too long to arrive."),
    413: _("The request is too large."),
    503: _("Too much is being uploaded at the moment. Try again in a few seconds."),
}


class _RefusedError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class Console:
    """An ASGI application around ``app``, which runs Django's WSGI handler in threads."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._reading_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._read(scope, receive)
        except _RefusedError as exc:
            await _refuse(exc.status, scope, send)
            return
        outbox = _Outbox(send)
        delivery = asyncio.create_task(outbox.deliver())
        try:
            await self._app(_for_wsgi(scope, body), _one_message(body), outbox.put)
        finally:
            outbox.close()
            await delivery

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """
        :raises _RefusedError: if the body is too large, too slow, or cut
        """
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"")
        if not length and b"transfer-encoding" not in headers:
            return b""
        if length and int(length) > settings.CONSOLE_MAX_BODY_BYTES:
            raise _RefusedError(413)
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                await self._read_into(body, receive)
        except TimeoutError as exc:
            raise _RefusedError(408) from exc
        finally:
            self._reading_bytes -= len(body)
        return bytes(body)

    async def _read_into(self, body: bytearray, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _RefusedError(400)
            chunk = message.get("body", b"")
            body += chunk
            self._reading_bytes += len(chunk)
            if len(body) > settings.CONSOLE_MAX_BODY_BYTES:
                raise _RefusedError(413)
            if self._reading_bytes > ALL_BODIES_BYTES:
                raise _RefusedError(503)
            if not message.get("more_body"):
                return


class _Outbox:
    """Takes an answer from the thread that makes it, and gives it to the client at the client's speed."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._messages: list[Message] = []
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_closed = False
        self._is_dropped = False

    async def put(self, message: Message) -> None:
        if self._is_dropped:  # it must not fail: nobody would take what the thread still has to say
            return
        self._messages.append(message)
        self._waiting_bytes += len(message.get("body", b""))
        self._changed.set()
        if self._waiting_bytes > BUFFER_BYTES:
            self._has_room.clear()
            await self._has_room.wait()

    def close(self) -> None:
        """Say that nothing will come any more."""
        self._is_closed = True
        self._changed.set()

    async def deliver(self) -> None:
        """Send what is put, until closed or until the client stops reading."""
        while await self._next():
            messages, self._messages = self._messages, []
            try:
                for message in messages:
                    async with asyncio.timeout(STALLED_SECONDS):
                        await self._send(message)
            except TimeoutError:
                self._is_dropped = True
                self._has_room.set()
                return
            self._waiting_bytes = sum(len(message.get("body", b"")) for message in self._messages)
            self._has_room.set()

    async def _next(self) -> bool:
        while not self._messages and not self._is_closed:
            self._changed.clear()
            await self._changed.wait()
        return bool(self._messages)


def _one_message(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _for_wsgi(scope: Scope, body: bytes) -> Scope:
    """The request as WSGI can carry it: its length known, its headers free of doubles and disguises.

    WSGI turns both ``-`` and ``_`` into ``_``, so that a header with the latter could pass for another.
    """
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if b"_" not in name
        and name not in (b"content-length", b"transfer-encoding", b"proxy")
        and not FORWARDING_HEADERS.fullmatch(name)
    ]
    if body:
        headers.append((b"content-length", str(len(body)).encode()))
    return {**scope, "headers": headers}


async def _refuse(status: int, scope: Scope, send: Send) -> None:
    request_id = new_request_id()
    response = _refusal(status, scope, request_id)
    headers = [
        (b"content-type", response.headers["Content-Type"].encode()),
        (b"content-length", str(len(response.content)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        (HEADER.lower().encode(), request_id.encode()),
    ]
    if status == 503:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


def _refusal(status: int, scope: Scope, request_id: str) -> HttpResponse:
    """As the part of the product that was asked for would say it, had it been reached."""
    request = HttpRequest()
    accepted = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    request.META.update(HTTP_ACCEPT_LANGUAGE=accepted, HTTP_X_REQUEST_ID=request_id)
    with translation.override(translation.get_language_from_request(request)):
        if scope["path"].startswith(PREFIX):
            return problem_response(request, status=status, detail=str(_MESSAGES[status]))
        return HttpResponse(f"{_MESSAGES[status]}\n", status=status, content_type="text/plain; charset=utf-8")
