"""Clients of a relay that may die under them: what each of their calls came to."""

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from oneapi_admin.lib.request_id import HEADER
from tests.support.processes import WebProcess


@dataclass
class Answer:
    """What came of a call."""

    status: int = 0
    """0: the connection ended without an answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """By their names in small letters."""
    body: bytes = b""
    is_whole: bool = False

    @property
    def request_id(self) -> str:
        return self.headers[HEADER.lower()]

    @property
    def charged(self) -> int | None:
        """What the caller was told that it cost."""
        told = self.headers.get("x-quota-charged")
        return None if told is None else int(told)

    @property
    def events(self) -> int:
        """How many tokens of a stream arrived, in the sandbox's pace of one an event."""
        return self.body.count(b'"delta":{"content"')


@dataclass
class Call:
    """A call under way; ``answer`` grows as it arrives."""

    answer: Answer = field(default_factory=Answer)
    _ended: "Future[Answer]" = field(default_factory=Future)

    def wait(self, seconds: float = 30) -> Answer:
        return self._ended.result(seconds)


def chat(port: int, key: str, *, tokens: int, delay_ms: int = 0, is_stream: bool = False) -> Answer:
    """Call the sandbox through a relay for so many tokens, one an event."""
    answer = Answer()
    _chat(answer, port, key, tokens, delay_ms, is_stream)
    return answer


def begin_chat(port: int, key: str, *, tokens: int, delay_ms: int = 0, is_stream: bool = False) -> Call:
    """As :func:`chat`, in a thread of its own."""
    call = Call()

    def run() -> None:
        _chat(call.answer, port, key, tokens, delay_ms, is_stream)
        call._ended.set_result(call.answer)

    threading.Thread(target=run, daemon=True).start()
    return call


def _chat(answer: Answer, port: int, key: str, tokens: int, delay_ms: int, is_stream: bool) -> None:
    paced = {"completion_tokens": tokens, "chunks": tokens, "delay_ms": delay_ms}
    asked = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "hi"}]}
    body = {**asked, "max_tokens": tokens, "stream": is_stream}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        raw = json.dumps({**body, "sandbox": paced})
        connection.request("POST", "/v1/chat/completions", raw, {"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        answer.headers.update({name.lower(): value for name, value in response.getheaders()})
        answer.status = response.status
        while part := response.read1():
            answer.body += part
        answer.is_whole = not response.length
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()


def refuses_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def journal_of(server: WebProcess, journals: Path) -> Path:
    """The file in which a process keeps its calls, as long as there are some or it lives."""
    [path] = journals.glob(f"{server.process.pid}-*")
    return path


class Load:
    """Clients that call again as soon as they are answered, until told to stop; they stop with the block."""

    def __init__(self, clients: int, call: Callable[[int], Answer]) -> None:
        """
        :param call: makes one call for the client with this number
        """
        self.answers: list[Answer] = []
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._clients = [self._pool.submit(self._run, call, number) for number in range(clients)]

    def count(self, status: int, *, after: int = 0) -> int:
        """How many of the answers after the first ones had this status."""
        return sum(answer.status == status for answer in self.answers[after:])

    def stop(self) -> list[Answer]:
        self._is_over.set()
        self._pool.shutdown()
        return self.answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, call: Callable[[int], Answer], number: int) -> None:
        while not self._is_over.is_set():
            answer = call(number)
            self.answers.append(answer)
            if answer.status != 200:
                self._is_over.wait(0.05)  # as a client that was told to try again later
