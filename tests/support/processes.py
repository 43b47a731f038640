"""Real server processes on the tests' database."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parent.parent.parent


def database_url() -> str:
    """The URL of the database that the running test uses."""
    config = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{config['NAME']}"
    return f"postgresql://{config['USER']}@{quote(config['HOST'], safe='')}/{config['NAME']}"


def environment(**extra: str) -> dict[str, str]:
    """What a process needs to share the running test's stores and secrets."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "oneapi_admin.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "DATA_DIR": str(settings.DATA_DIR),
        **extra,
    }


class WebProcess:
    """The product's web server in a process of its own."""

    def __init__(self, module: str = "oneapi_admin.supervisor.web", **env: str) -> None:
        """Start it; it is to be used after :meth:`wait_until_it_serves`."""
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            self.port = int(listener.getsockname()[1])
            self.origin = f"http://127.0.0.1:{self.port}"
            self.log = Path(settings.DATA_DIR) / f"web-{self.port}.log"
            with self.log.open("wb") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", module, str(listener.fileno())],
                    cwd=ROOT,
                    env=environment(**env),
                    pass_fds=[listener.fileno()],
                    stdout=log,
                    stderr=log,
                )

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sign)
        return self.process.wait(30)

    def wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{self.origin}/healthz", timeout=5).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self.log.read_text()) from None
                time.sleep(0.05)  # between two polls of a condition with a deadline
            else:
                return


@contextmanager
def web_processes(count: int = 1, **env: Any) -> Iterator[list[WebProcess]]:
    """Start web servers; they are stopped at the end, whatever happened."""
    started: list[WebProcess] = []
    try:
        for _ in range(count):
            started.append(WebProcess(**env))
        for server in started:
            server.wait_until_it_serves()
        yield started
    finally:
        for server in started:
            server.stop()
