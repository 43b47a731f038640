"""HTTP connections that cannot be used to wear the server out."""

import asyncio
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20.0
HEAD_BYTES = 64 * 1024
_BODY_ARRIVED: dict[str, dict[object, object]] = {"oneapi.body_arrived": {}}
"""An extension of ASGI's scope: the application need not guard against a body that never ends."""


class _HeadHoldingTransport:
    """Sends the head of an answer with the beginning of its body, if that comes in the same turn of the loop.

    uvicorn writes them apart, and every write is a system call here and wakes the reader there.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1."):
            self._head = data
            self._loop.call_soon(self._write_head)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._write_head()
        self._transport.close()

    def _write_head(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)


class GuardedHttpProtocol(HttpToolsProtocol):
    """Closes connections whose request line and headers take too long or too much.

    uvicorn bounds neither: a client that sends a header a minute would keep its connection for ever, and one
    that never ends its headers would fill the memory.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _is_in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _HeadHoldingTransport(transport, self.loop)))
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._is_in_head:
            return
        if self._head_timer is None and not self.transport.is_closing():
            self._start_timer()
        if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request headers too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_timer is None:  # else the head began with the connection
            self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.scope["extensions"] = _BODY_ARRIVED

    def _start_timer(self) -> None:
        """Most heads arrive at once, so that only what is still missing after a read is timed."""
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._close_slow)

    def _end_head(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _close_slow(self) -> None:
        if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
