"""A real HTTP server that receives webhooks and answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from docs.examples.verify_webhook import verify_webhook


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    """By their names in small letters."""
    body: bytes

    def verified(self, secret: str, *, now: float | None = None) -> dict[str, Any]:
        """The event, if it is signed with the secret; by our clock unless told otherwise."""
        return verify_webhook(self.headers, self.body, secret=secret, now=now)


class Receiver:
    """Answers 204, or, one request after the other, what stands in ``answers``."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/hooks?shop=1"
        self.received: list[Received] = []
        self.answers: list[int] = []
        self.judge: Callable[[Received], int] | None = None
        """Says what to answer, where it depends on what came; many threads ask at once."""
        self.headers: dict[str, str] = {}
        self.release = threading.Event()
        """Until it is set, answers wait where they were told to ``hang``."""
        self.hangs = False

    def take(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.path, headers, body)
        self.received.append(received)
        status = self.answers.pop(0) if self.answers else 204
        if self.judge is not None:
            status = self.judge(received)
        if self.hangs:
            self.release.wait(30)
        request.send_response(status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """Many workers connect at the same moment."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.take(self)

        do_GET = do_POST  # noqa: N815  a redirect that was followed may come by it

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.release.set()
            server.shutdown()
            thread.join()
