"""ASGI in small pieces: reading a bounded body, answering JSON, knowing who called."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from oneapi_admin.lib.request_id import HEADER, new_request_id
from relay.errors import BodyTimeoutError, BodyTooLargeError, dump

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_BODY_SECONDS = 60
_BODY_ARRIVED = "oneapi.body_arrived"
"""The extension by which our server says that nothing of the body is missing: a timer costs more than it."""
_REQUEST_ID = HEADER.lower().encode()
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
]
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"*"),
    (b"access-control-max-age", b"86400"),
]


class DisconnectedError(Exception):
    """The caller left before the whole request had arrived."""


@dataclass(slots=True)
class Request:
    """One HTTP request to the relay."""

    scope: Scope
    receive: Receive
    send: Send
    request_id: str
    headers: dict[bytes, bytes]
    has_started: bool = False
    """Whether the answer's head has been sent."""

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send) -> "Request":
        return cls(scope, receive, send, new_request_id(), dict(scope["headers"]))

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def client_ip(self) -> str:
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def accept_language(self) -> str:
        return self.headers.get(b"accept-language", b"").decode("latin-1")

    @property
    def bearer_key(self) -> str:
        """The caller's key without ``sk-``; empty when none was sent."""
        scheme, _, value = self.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        key = value.strip() if scheme.lower() == "bearer" else scheme
        return key.removeprefix("sk-")

    async def body(self) -> bytes:
        """Read the whole body.

        :raises BodyTooLargeError: as soon as it is announced or grows larger than allowed
        :raises BodyTimeoutError: if it does not arrive within a minute
        :raises DisconnectedError: if the caller leaves first
        """
        limit = settings.RELAY_MAX_BODY_BYTES
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise BodyTooLargeError(limit=limit)
        if _BODY_ARRIVED in self.scope.get("extensions", ()):
            return await self._read(limit)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                return await self._read(limit)
        except TimeoutError as exc:
            raise BodyTimeoutError from exc

    async def _read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise BodyTooLargeError(limit=limit)
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def wait_for_disconnect(self) -> None:
        """Return when the caller has left."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def start(self, status: int, content_type: bytes, headers: Headers) -> None:
        self.has_started = True
        own = [(b"content-type", content_type), (_REQUEST_ID, self.request_id.encode()), *_CORS, *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": own})

    async def write(self, body: bytes, *, more: bool) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(
        self,
        status: int,
        body: bytes,
        headers: Headers | None = None,
        content_type: bytes = b"application/json",
    ) -> None:
        """Send a whole answer."""
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, content_type, [length, *(headers or [])])
        await self.write(body, more=False)

    async def answer_json(self, status: int, body: Any, headers: Headers | None = None) -> None:
        await self.answer(status, dump(body), headers)
