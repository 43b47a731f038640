"""Closed-loop load: so many connections, each asking again as soon as it has its answer.

By ``wrk`` where it is installed (Debian: ``apt-get install wrk``), since the generator shares the machine
with what it measures; else by a slower generator of our own. Both finish what is in flight when the window
is over, so that every answer is counted.
"""

import asyncio
import http.client
import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

CHAT_PATH = "/v1/chat/completions"
LONGEST_ANSWER_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who is asked, and with which keys in turn."""

    name: str
    port: int
    keys: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What came back in a window of time; ``rate`` counts only answers inside it, ``answers`` all."""

    rate: float
    p50_ms: float
    p99_ms: float
    answers: int
    refused: int
    broken: int
    unfinished: int

    @property
    def is_clean(self) -> bool:
        return bool(self.answers) and not (self.refused or self.broken or self.unfinished)


def generator() -> str:
    """Which generator :func:`run` uses."""
    if not shutil.which("wrk"):
        return "our own asyncio generator (slower: apt-get install wrk)"
    version = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    return version.partition(" [")[0].partition(" Copyright")[0]


def run(target: Target, body: bytes, *, clients: int, seconds: float, drain: int) -> Window:
    """Load a target for ``seconds``, then give the calls in flight up to ``drain`` seconds to end."""
    if shutil.which("wrk"):
        return _run_wrk(target, body, clients=clients, seconds=seconds, drain=drain)
    return uvloop.run(_Load(target, body, clients=clients, seconds=seconds, drain=drain).run())


def ask(target: Target, body: bytes) -> tuple[int, bytes]:
    """Ask once; return the status and the whole body."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=LONGEST_ANSWER_S)
    headers = {"Authorization": f"Bearer {target.keys[0]}", "Content-Type": "application/json"}
    try:
        connection.request("POST", CHAT_PATH, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _run_wrk(target: Target, body: bytes, *, clients: int, seconds: float, drain: int) -> Window:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        body_file, keys_file = Path(folder, "body"), Path(folder, "keys")
        body_file.write_bytes(body)
        keys_file.write_text("".join(f"{key}\n" for key in target.keys), encoding="utf-8")
        options = {
            "--threads": 1,
            "--connections": clients,
            "--duration": f"{math.ceil(seconds) + drain}s",
            "--timeout": f"{LONGEST_ANSWER_S}s",
            "--script": Path(__file__).with_name("wrk.lua"),
        }
        command = ["wrk", *(str(part) for option in options.items() for part in option)]
        command += [f"http://127.0.0.1:{target.port}{CHAT_PATH}", "--"]
        command += [str(seconds), str(clients), str(body_file), str(keys_file)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return Window(
        rate=found["in_window"] / seconds,
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        answers=found["answers"],
        refused=found["refused"],
        broken=found["broken"],
        unfinished=found["unfinished"],
    )


class _Load:
    """The generator of our own, for one window."""

    def __init__(self, target: Target, body: bytes, *, clients: int, seconds: float, drain: int) -> None:
        self._port, self._clients, self._seconds, self._drain = target.port, clients, seconds, drain
        self._requests = [_request(key, body) for key in target.keys]
        self._next = 0
        self.deadline = 0.0
        self.in_window = self.refused = self.broken = 0
        self.latencies: list[float] = []

    async def run(self) -> Window:
        loop = asyncio.get_running_loop()
        self.deadline = time.perf_counter() + self._seconds
        made = [
            await loop.create_connection(lambda: _Client(self), "127.0.0.1", self._port)
            for _ in range(self._clients)
        ]
        clients = [client for _transport, client in made]
        _done, pending = await asyncio.wait(
            [c.finished for c in clients], timeout=self._seconds + self._drain
        )
        for transport, _client in made:
            transport.abort()
        latencies = sorted(self.latencies) or [0.0]
        return Window(
            rate=self.in_window / self._seconds,
            p50_ms=latencies[len(latencies) // 2] * 1000,
            p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
            answers=len(self.latencies),
            refused=self.refused,
            broken=self.broken,
            unfinished=len(pending),
        )

    def next_request(self) -> bytes:
        self._next = (self._next + 1) % len(self._requests)
        return self._requests[self._next]


class _Client(asyncio.Protocol):
    """One connection; reads just enough of HTTP to know where an answer ends."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = b""
        self._asked_at = 0.0
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclasses
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not _is_whole(self._buffer):
            return
        at = time.perf_counter()
        is_in_window = at < self._load.deadline
        if self._buffer.startswith(b"HTTP/1.1 200 "):
            self._load.latencies.append(at - self._asked_at)
            self._load.in_window += is_in_window
        else:
            self._load.refused += 1
        if is_in_window:
            self._ask()
        else:
            self._finish()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._load.broken += not self.finished.done()
        self._finish()

    def _ask(self) -> None:
        self._buffer = b""
        self._asked_at = time.perf_counter()
        self._transport.write(self._load.next_request())

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


def _request(key: str, body: bytes) -> bytes:
    head = (
        f"POST {CHAT_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _is_whole(buffer: bytes) -> bool:
    head, end, body = buffer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, length = head.lower().partition(b"content-length:")
    if found:
        return len(body) >= int(length.partition(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n")
