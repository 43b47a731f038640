"""A real sandbox in a process of its own, for any test that needs an upstream."""

import http.client
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A raw answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class SandboxServer:
    """A running sandbox; ``origin`` has no path, ``base_url`` is what OpenAI clients take (``…/v1``)."""

    port: int
    api_key: str
    state_path: Path
    log_path: Path
    _process: "subprocess.Popen[str]" = field(repr=False)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop it as a supervisor does and return its exit status; harmless when it has stopped already."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(STOP_DEADLINE_S)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Reply:
        """Make one raw request with the key; ``body`` is bytes, or anything that JSON can say.

        :raises http.client.IncompleteRead: if the answer is cut
        """
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, raw, sent if headers is None else dict(headers))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()

    def chat(self, model: str = "sandbox-echo", text: str = "one two three", **fields: object) -> Reply:
        """Make one raw chat request with a single user message."""
        messages = [{"role": "user", "content": text}]
        return self.request("POST", "/v1/chat/completions", {"model": model, "messages": messages, **fields})

    def account(self) -> dict[str, Any]:
        """Return ``GET /sandbox/account``; amounts are text in US dollars."""
        return self._control("GET", "/sandbox/account")

    def set_account(
        self, *, balance_usd: str | None = None, monthly_cap_usd: str | None = None
    ) -> dict[str, Any]:
        """Empty, recharge or cap the account; what is not named stays."""
        amounts = {"balance_usd": balance_usd, "monthly_cap_usd": monthly_cap_usd}
        body = {name: amount for name, amount in amounts.items() if amount is not None}
        return self._control("POST", "/sandbox/account", body)

    def requests(self) -> dict[str, Any]:
        """Return ``GET /sandbox/requests``: ``total``, ``disconnected``, ``models`` and ``recent``."""
        return self._control("GET", "/sandbox/requests")

    def wait_for_requests(
        self, condition: Callable[[dict[str, Any]], bool], *, timeout: float = 10.0
    ) -> dict[str, Any]:
        """Ask for ``requests()`` until the condition holds.

        :raises TimeoutError: if it does not in time
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            seen = self.requests()
            if condition(seen):
                return seen
        raise TimeoutError(f"the sandbox never got there: {self.requests()}")

    def reset(self) -> dict[str, Any]:
        """Make the account new and forget all requests."""
        return self._control("POST", "/sandbox/reset")

    def _control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        reply = self.request(method, path, body)
        assert reply.status == 200, reply
        answer: dict[str, Any] = reply.json()
        return answer


def start_sandbox(
    tmp_path: Path,
    *,
    api_key: str = "sk-sandbox",
    port: int = 0,
    slow_seconds: float | None = None,
    balance_usd: str | None = None,
    monthly_cap_usd: str | None = None,
    record: Path | None = None,
) -> SandboxServer:
    """Start a sandbox on loopback and return once it answers.

    Its account is kept in ``tmp_path/sandbox.json``: starting again with the same directory goes on with
    it; its log is ``tmp_path/sandbox.log``. ``port`` 0 is any free one; the other options are those of
    ``python -m sandbox``.

    :raises RuntimeError: if it ends, or does not answer in time; the message has its log
    """
    state_path, log_path = tmp_path / "sandbox.json", tmp_path / "sandbox.log"
    command = [sys.executable, "-m", "sandbox", "--port", str(port), "--state", str(state_path)]
    command += ["--api-key", api_key]
    for option, value in (
        ("--slow-seconds", slow_seconds),
        ("--balance-usd", balance_usd),
        ("--monthly-cap-usd", monthly_cap_usd),
        ("--record", record),
    ):
        command += [] if value is None else [option, str(value)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    with log_path.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    deadline = time.monotonic() + START_DEADLINE_S
    assert process.stdout is not None
    with process.stdout:
        line = _first_line(process.stdout, deadline)
    server = SandboxServer(_port_in(line), api_key, state_path, log_path, process)
    if not server.port or not _answers(server, deadline):
        server.stop()
        raise RuntimeError(f"the sandbox did not start: {log_path.read_text(encoding='utf-8')}")
    return server


def _first_line(stdout: IO[str], deadline: float) -> str:
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        return stdout.readline() if selector.select(deadline - time.monotonic()) else ""


def _port_in(line: str) -> int:
    _, _, tail = line.strip().removesuffix("/v1").rpartition(":")
    return int(tail) if tail.isdecimal() else 0


def _answers(server: SandboxServer, deadline: float) -> bool:
    while time.monotonic() < deadline and server._process.poll() is None:
        try:
            return server.request("GET", "/healthz", timeout=deadline - time.monotonic()).status == 200
        except OSError:
            continue
    return False
