"""A real HTTP server that stands in for every provider, and the way from their addresses to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from billing.upstream import client
from billing.upstream.balances.ask import Ask

NOW = datetime(2026, 11, 26, 15, 30, 45, tzinfo=UTC)
ORDINARY = {"host", "accept", "accept-encoding", "user-agent", "content-length"}
"""Headers that say nothing of who asks."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    url: str
    """As it was meant to be: with the provider's own host."""
    headers: dict[str, str]
    """Without the ordinary ones."""
    body: bytes

    @property
    def everything(self) -> str:
        return f"{self.url} {self.headers} {self.body!r}"


@dataclass
class Answering:
    status: int = 200
    body: str | bytes = ""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """What it says its length is; its own by default."""
    is_hanging: bool = False


class Provider:
    """Answers one request after the other with what stands in ``answers``, and keeps what it was asked."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.origin = f"http://127.0.0.1:{server.server_port}"
        self.start_again()

    def start_again(self) -> None:
        self.answers: list[Answering] = []
        self.asked: list[Asked] = []
        self.release = threading.Event()
        """Until it is set, answers wait that hang."""

    def says(self, *bodies: str) -> None:
        self.answers += [Answering(body=body) for body in bodies]

    def ask(self, *secrets: str, now: datetime = NOW, **options: Any) -> Ask:
        """What asks any address, and arrives here."""
        return Ask(now=now, secrets=secrets, transport=self._transport, **options)

    def _transport(self, method: str, url: str, *, headers: dict[str, str], **kwargs: Any) -> client.Answer:
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert "host" not in headers
        here = f"{self.origin}{url.removeprefix(f'https://{parts.netloc}')}"
        return client.send(method, here, headers={**headers, "host": parts.netloc}, **kwargs)

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in request.headers.items()}
        url = f"https://{headers['host']}{request.path}"
        own = {name: value for name, value in headers.items() if name not in ORDINARY}
        self.asked.append(Asked(request.command, url, own, body))
        answer = self.answers.pop(0)
        if answer.is_hanging:
            self.release.wait(30)
            return
        raw = answer.body.encode() if isinstance(answer.body, str) else answer.body
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(raw) if answer.length is None else answer.length))
        request.end_headers()
        request.wfile.write(raw)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client may go before it has read all: that is what some tests are about."""


@contextmanager
def providing() -> Iterator[Provider]:
    """Run a provider on a free port of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.take(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        provider = Provider(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield provider
        finally:
            provider.release.set()
            server.shutdown()
            thread.join()
