"""The product's Celery processes, which a test can kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ROOT, environment

PRODUCT = "oneapi_admin"
Process = subprocess.Popen[bytes]


@contextmanager
def celery(log: Path, *command: str, app: str = PRODUCT, **env: str) -> Iterator[Process]:
    """A worker or beat in a process group of its own, so that it can die with all of its processes."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "--app", app, *command, "--loglevel", "INFO"],
            cwd=ROOT,
            env=environment(DATA_DIR=str(log.parent), C_FORCE_ROOT="true", **env),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # how it stops when asked to is for other tests
        process.wait()


@contextmanager
def worker(log: Path, **env: str) -> Iterator[Process]:
    """A worker with one process for jobs."""
    command = ("worker", "--concurrency", "1", "--without-gossip", "--without-mingle")
    with celery(log, *command, **env) as process:
        yield process
