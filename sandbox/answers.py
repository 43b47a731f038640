"""Sending an answer: at once or chunk by chunk, charged for what of it was generated."""

import asyncio
from collections.abc import Callable
from typing import Final

from sandbox.asgi import ClientGoneError, Message, Receive, Send, encode, send_body, send_json, send_start
from sandbox.behaviours import Behaviour
from sandbox.completions import Completion, EventStream, completion_json
from sandbox.requests import RequestRecord

FLUSH_CHARACTERS: Final = 64 * 1024
"""A stream without delays is sent in pieces of about this size."""


class Answer:
    """One answer on its way to a client; it stops when the client goes away.

    :param delay_s: seconds to wait before a whole answer, and before each chunk of a stream
    :param charge: called once with what the answer cost, in micro-dollars, before its last byte is sent: who
        has the whole answer also sees the new balance
    """

    def __init__(
        self,
        *,
        completion: Completion,
        behaviour: Behaviour,
        record: RequestRecord,
        delay_s: float,
        charge: Callable[[int], None],
        receive: Receive,
        send: Send,
    ) -> None:
        self._completion = completion
        self._behaviour = behaviour
        self._record = record
        self._delay_s = delay_s
        self._charge = charge
        self._receive = receive
        self._send = send
        self._gone: asyncio.Future[Message] | None = None

    async def send_whole(self) -> None:
        """Send a ``chat.completion`` object, or half of it when the behaviour is to drop the connection.

        :raises ClientGoneError: if the client leaves during the delay; only the prompt is charged then
        """
        generated = 0
        try:
            if self._delay_s:
                await self._wait()
            generated = self._completion.completion_tokens
        finally:
            self._finish(generated)
        body = completion_json(self._completion, has_usage=self._behaviour.has_usage)
        if not self._behaviour.is_dropped:
            await send_json(self._send, 200, body)
            return
        await send_start(self._send, 200, b"application/json", length=len(body))
        await send_body(self._send, body[: len(body) // 2], is_last=False)

    async def send_stream(self) -> None:
        """Send an event stream, or the first half of its chunks when the behaviour is to drop the connection.

        :raises ClientGoneError: as soon as the client leaves; what was generated until then is charged
        """
        has_usage = self._record.include_usage and self._behaviour.has_usage
        stream = EventStream(self._completion, include_usage=has_usage)
        generated = 0
        waiting = [stream.opening()]
        waiting_size = 0
        await send_start(self._send, 200, b"text/event-stream; charset=utf-8")
        try:
            for event, tokens in stream.contents(self._chunks_to_send()):
                if self._delay_s or waiting_size > FLUSH_CHARACTERS:
                    await send_body(self._send, encode("".join(waiting)), is_last=False)
                    waiting.clear()
                    waiting_size = 0
                    await self._wait()
                waiting.append(event)
                waiting_size += len(event)
                generated += tokens
        finally:
            self._finish(generated)
        if not self._behaviour.is_dropped:
            waiting.append(stream.closing())
        await send_body(self._send, encode("".join(waiting)), is_last=not self._behaviour.is_dropped)

    def _chunks_to_send(self) -> int:
        chunks = len(self._completion.chunks)
        return chunks // 2 if self._behaviour.is_dropped else chunks

    async def _wait(self) -> None:
        """Wait, or only give way to others when there is no delay.

        :raises ClientGoneError: as soon as the client closes the connection
        """
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._receive())
        await asyncio.wait((self._gone,), timeout=self._delay_s)
        if self._gone.done():
            raise ClientGoneError

    def _finish(self, generated: int) -> None:
        if self._gone is not None:
            self._gone.cancel()
        prompt_tokens = self._completion.prompt_tokens
        self._record.prompt_tokens = prompt_tokens
        self._record.completion_tokens = generated
        self._charge(self._behaviour.price.cost(prompt_tokens=prompt_tokens, completion_tokens=generated))
