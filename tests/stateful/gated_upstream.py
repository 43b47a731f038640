"""An upstream whose streams stop after their first word, until the test says how they go on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread
from typing import Any

from tests.relay.scripted import delta

MODEL = "gated"
WORD = "one"


class GatedUpstream:
    """The calls under way, by the ``user`` that they name."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._gates: dict[str, SimpleQueue[bytes]] = {}

    def gate(self, name: str) -> "SimpleQueue[bytes]":
        return self._gates.setdefault(name, SimpleQueue())

    def finish(self, name: str, *, prompt_tokens: int, completion_tokens: int) -> None:
        """Let a stream end as it should, with this usage."""
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        self.gate(name).put(_event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")

    def cut(self, name: str) -> None:
        """Break a stream off."""
        self.gate(name).put(b"")


@contextmanager
def gated_upstream() -> Iterator[GatedUpstream]:
    """Serve until the block ends; every gate has to be opened before."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(_event(delta(WORD)))
            with suppress(OSError):  # the caller may have left
                self.wfile.write(upstream.gate(body["user"]).get())

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        upstream = GatedUpstream(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join()


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"
