"""An upstream that answers every call with the bytes it was given, for answers that no sandbox would give."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@contextmanager
def scripted_upstream(*, status: int, body: bytes, headers: dict[str, str] | None = None) -> Iterator[str]:
    """Serve until the block ends; yields the origin.

    :param headers: sent as Latin-1
    """

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with _upstream(answer) as origin:
        yield origin


@contextmanager
def upstream_that_falls_silent(beginning: bytes) -> Iterator[str]:
    """Stream the beginning to every call, and then nothing until the block ends; yields the origin."""
    is_over = Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(beginning)
        is_over.wait()

    with _upstream(answer) as origin:
        try:
            yield origin
        finally:
            is_over.set()


@contextmanager
def upstream_that_breaks_off(beginning: bytes) -> Iterator[str]:
    """Answer every call with less than was announced; yields the origin."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(beginning) + 1))
        handler.end_headers()
        handler.wfile.write(beginning)

    with _upstream(answer) as origin:
        yield origin


@contextmanager
def upstream_without_end(event: bytes) -> Iterator[str]:
    """Stream the event to every call again and again until nobody listens; yields the origin."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while True:
                handler.wfile.write(event)

    with _upstream(answer) as origin:
        yield origin


@contextmanager
def _upstream(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer(self)

        def log_message(self, *_args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def stream(*events: dict[str, Any]) -> bytes:
    """A stream of these events and the last one."""
    return (
        b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    )


def completion(text: str, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}], **fields}


def delta(text: str, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}], **fields}
