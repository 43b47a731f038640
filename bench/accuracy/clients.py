"""The clients: each makes the next call when its time has come and its own last one is over."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

import httptools

from bench.accuracy.callers import Caller
from bench.accuracy.traffic import Call, Leaves

LONGEST_ANSWER_S = 60.0
_LEAVES_BEFORE_ANSWER_S = 0.01
_CONNECT_TRIES_S = 30.0
_CONTENT = b'"content":"'
_CHARGED = b": X-Quota-Charged: "
Ports = Callable[[], Sequence[int]]


class Ending(Enum):
    """How a call ended for its client."""

    WHOLE = "answered"
    LEFT = "the client left"
    BROKEN = "the connection broke"
    LATE = "no answer in time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a refusal for want of quota said, in quota units."""

    quota: str
    """Whose: ``user`` or ``token``."""
    left: int
    needed: int


@dataclass(slots=True, kw_only=True)
class Seen:
    """A call as its client saw it."""

    call: Call
    ending: Ending
    status: int = 0
    """0 when not even the head of an answer came."""
    request_id: str = ""
    code: str = ""
    refusal: Refusal | None = None
    charged: int | None = None
    remaining: int | None = None
    usage: tuple[int, int] | None = None
    events: int = 0
    """Of a stream, those that said something."""
    words: int = 0
    is_complete: bool = False
    """Whether a stream ended with its end mark, or a JSON answer was a completion."""
    milliseconds: float = 0.0


@dataclass(slots=True)
class _Answer:
    """What has arrived of an answer."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Connection(asyncio.Protocol):
    """A kept-alive connection; one request at a time."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._answer = _Answer()
        self._ending: asyncio.Future[Ending] | None = None
        self._leaves_after: int | None = None
        self.is_usable = True

    async def ask(self, request: bytes, call: Call) -> tuple[Ending, _Answer]:
        loop = asyncio.get_running_loop()
        self._answer = _Answer()
        self._ending = ending = loop.create_future()
        self._leaves_after = call.leaves_after if call.kind.leaves == Leaves.MID_STREAM else None
        goes_early = call.kind.leaves == Leaves.BEFORE_ANSWER
        patience = _LEAVES_BEFORE_ANSWER_S if goes_early else LONGEST_ANSWER_S
        timer = loop.call_later(patience, self._leave, Ending.LEFT if goes_early else Ending.LATE)
        self._transport.write(request)
        try:
            return await ending, self._answer
        finally:
            timer.cancel()

    def close(self) -> None:
        self.is_usable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclasses

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._leave(Ending.BROKEN)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.is_usable = False
        self._end(Ending.BROKEN)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._answer.body += data
        leaves_after = self._leaves_after
        if leaves_after is not None and _whole_events(self._answer.body).count(_CONTENT) > leaves_after:
            self._leave(Ending.LEFT)

    def on_message_complete(self) -> None:
        self.is_usable = self.is_usable and self._parser.should_keep_alive()
        self._end(Ending.WHOLE)

    def _leave(self, ending: Ending) -> None:
        self._end(ending)
        self.close()

    def _end(self, ending: Ending) -> None:
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(ending)


class Clients:
    """Makes planned calls and keeps what came back."""

    def __init__(self, *, callers: Sequence[Caller], ports: Ports) -> None:
        """
        :param ports: where relay processes serve at this moment
        """
        self._callers = callers
        self._ports = ports
        self._spread = itertools.count()
        self.seen: list[Seen] = []
        self.cpu_share = 0.0
        """Of one core, that the clients used: near 1, they were slower than what they measured."""

    async def run(self, calls: Sequence[Call], *, clients: int, seconds: float) -> float:
        """Make the calls, each not before its time; none is begun once the time is over.

        :returns: how many seconds it took
        """
        began, used = time.monotonic(), time.process_time()
        waiting = iter(calls)
        await asyncio.gather(*(self._client(waiting, began, began + seconds) for _ in range(clients)))
        took = time.monotonic() - began
        self.cpu_share = (time.process_time() - used) / took
        return took

    async def ask_once(self, call: Call) -> Seen:
        """Make one call, on a connection of its own."""
        connection = await self._connected(None)
        seen = await self._ask(connection, call)
        connection.close()
        return seen

    async def _client(self, calls: Iterator[Call], began: float, deadline: float) -> None:
        connection: _Connection | None = None
        for call in calls:
            await asyncio.sleep(max(began + call.at - time.monotonic(), 0))
            if time.monotonic() >= deadline:
                break
            connection = await self._connected(connection)
            await self._ask(connection, call)
        if connection is not None:
            connection.close()

    async def _ask(self, connection: _Connection, call: Call) -> Seen:
        asked = time.monotonic()
        ending, answer = await connection.ask(self._request(call), call)
        seen = read_answer(call, ending, answer.status, answer.headers, bytes(answer.body))
        seen.milliseconds = (time.monotonic() - asked) * 1000
        self.seen.append(seen)
        return seen

    async def _connected(self, connection: _Connection | None) -> _Connection:
        """A connection that can be used, to any of the processes that serve.

        :raises OSError: if none does
        """
        if connection is not None and connection.is_usable:
            return connection
        deadline = time.monotonic() + _CONNECT_TRIES_S
        while True:
            ports = self._ports()
            try:
                loop = asyncio.get_running_loop()
                port = ports[next(self._spread) % len(ports)]
                _transport, made = await loop.create_connection(_Connection, "127.0.0.1", port)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.02)
            else:
                return made

    def _request(self, call: Call) -> bytes:
        body = call.body()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self._callers[call.caller].key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


def read_answer(call: Call, ending: Ending, status: int, headers: dict[bytes, bytes], body: bytes) -> Seen:
    """What an answer, or the beginning of one, says."""
    seen = Seen(call=call, ending=ending, status=status)
    seen.request_id = headers.get(b"x-oneapi-request-id", b"").decode()
    if b"x-quota-charged" in headers:
        seen.charged, seen.remaining = int(headers[b"x-quota-charged"]), int(headers[b"x-quota-remaining"])
    if headers.get(b"content-type", b"").startswith(b"text/event-stream"):
        _read_stream(seen, body)
    elif ending == Ending.WHOLE:
        _read_json(seen, body)
    return seen


def _read_json(seen: Seen, body: bytes) -> None:
    said = json.loads(body)
    error = said.get("error")
    if error:
        seen.code = str(error["code"])
        details = error.get("details")
        if details:
            seen.refusal = Refusal(quota=details["quota"], left=details["left"], needed=details["needed"])
        return
    seen.is_complete = True
    seen.words = sum(len(choice["message"]["content"].split()) for choice in said["choices"])
    seen.usage = _usage(said)


def _read_stream(seen: Seen, body: bytes) -> None:
    for event in _whole_events(body).split(b"\n\n"):
        if event.startswith(_CHARGED):
            charged, _, remaining = event.removeprefix(_CHARGED).partition(b", X-Quota-Remaining: ")
            seen.charged, seen.remaining = int(charged), int(remaining)
        elif event == b"data: [DONE]":
            seen.is_complete = True
        elif event.startswith(b"data: "):
            _read_event(seen, json.loads(event[6:]))


def _read_event(seen: Seen, said: dict[str, Any]) -> None:
    if said.get("error"):
        seen.code = str(said["error"]["code"])
    words = sum(
        len((choice["delta"].get("content") or "").split()) for choice in said.get("choices", ())
    )  # every chunk ends where a word ends
    seen.words += words
    seen.events += bool(words)
    seen.usage = _usage(said) or seen.usage


def _usage(said: dict[str, Any]) -> tuple[int, int] | None:
    usage = said.get("usage")
    return (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None


def _whole_events(body: bytes | bytearray) -> bytes:
    return bytes(body[: body.rfind(b"\n\n") + 2]) if b"\n\n" in body else b""
