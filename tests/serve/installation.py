"""A whole installation in a folder of its own, driven from outside as an operator would."""

import contextlib
import http.client
import os
import queue
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 45.0
"""Seconds until something that should happen counts as not happening."""


def wait_until(condition: Callable[[], Any], what: str, *, patience: float = PATIENCE) -> Any:
    """Ask again until it is so."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        time.sleep(0.02)
    return found


@dataclass
class Installation:
    """A data folder with the environment that commands on it get."""

    data_dir: Path
    environment: dict[str, str] = field(default_factory=dict)

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._command(*arguments),
            env=self._environment(environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def shell(self, code: str) -> str:
        """Run code inside Django; return what it prints."""
        done = self.manage("shell", "--no-imports", "--verbosity", "0", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What its database answers."""
        with (
            contextlib.closing(sqlite3.connect(self.data_dir / "oneapi-admin.sqlite3")) as database,
            database,
        ):
            return database.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def serving(self, *arguments: str, **environment: str) -> Iterator["Serving"]:
        """Run ``serve`` on a free port until the block ends."""
        log = (self.data_dir.parent / f"{self.data_dir.name}.log").open("w+")
        process = subprocess.Popen(
            self._command("serve", "--port", "0", *arguments),
            env=self._environment(environment),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        with log, process:
            serving = Serving(self, process, log)
            try:
                yield serving
            finally:
                for child in [*serving.children(), serving.psutil]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()

    def copy(self, data_dir: Path) -> "Installation":
        """The same data in another folder, which has to be at rest."""
        shutil.copytree(self.data_dir, data_dir, ignore=shutil.ignore_patterns("run"), copy_function=os.link)
        for name in ("oneapi-admin.sqlite3", "sandbox.json", "sandbox_port", "valkey"):
            _unshare(data_dir / name)
        return Installation(data_dir, self.environment)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *arguments]

    def _environment(self, extra: dict[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "DATA_DIR": str(self.data_dir), "DRAIN_SECONDS": "10", **self.environment, **extra}


def _unshare(path: Path) -> None:
    """Give a copy made of hard links contents of its own."""
    for file in [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]:
        contents = file.read_bytes()
        file.unlink()
        file.touch(mode=0o600)
        file.write_bytes(contents)


class Serving:
    """A running ``serve``."""

    def __init__(self, installation: Installation, process: "subprocess.Popen[str]", log: IO[str]) -> None:
        self.installation = installation
        self.process = process
        self.psutil = psutil.Process(process.pid)
        self._log = log
        self._lines: list[str] = []
        self._seen: dict[int, psutil.Process] = {}
        self._incoming: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._receive, daemon=True).start()

    @property
    def output(self) -> str:
        return "".join(self._lines)

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text()

    def read_until(self, text: str) -> str:
        """Read standard output up to the line with ``text``, and return that line."""
        while True:
            try:
                line = self._incoming.get(timeout=PATIENCE)
            except queue.Empty:
                raise AssertionError(f"silent after {self.output}\n{self.log}") from None
            assert line, f"ended after {self.output}\n{self.log}"
            self._lines.append(line)
            if text in line:
                return line

    def _receive(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._incoming.put(line)
        self._incoming.put("")  # the end

    def wait_until_ready(self) -> "Serving":
        self.url = self.read_until("Console").split()[1].rstrip("/")
        self.read_until("Ctrl-C")
        wait_until(lambda: self.get("/readyz").status == 200, "ready")
        wait_until(lambda: self.child("celery.*beat"), "every child started")
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the supervisor and return its exit status."""
        self.process.send_signal(number)
        return self.exit_status()

    def exit_status(self) -> int:
        status = self.process.wait(timeout=PATIENCE)
        self._lines += iter(self._incoming.get, "")
        return status

    def children(self) -> list[psutil.Process]:
        """Everything that the supervisor started and that lives; also once the supervisor is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._seen |= {process.pid: process for process in self.psutil.children(recursive=True)}
        return [process for process in self._seen.values() if _lives(process)]

    def child(self, pattern: str) -> psutil.Process | None:
        """The first child whose command line matches."""
        for process in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if re.search(pattern, " ".join(process.cmdline())) and "leash.py" not in process.cmdline()[2]:
                    return process
        return None

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=PATIENCE)

    def get(self, path: str, method: str = "GET", **headers: str) -> "Answer":
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(method, path, headers=names)

    def send(self, method: str, path: str, **request: Any) -> "Answer":
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, **request)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode(errors="replace"))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


def _lives(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
