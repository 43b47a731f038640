"""The product's worker, as a process that a test can kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ROOT, environment


@contextmanager
def worker(log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """The product's, in a process group of its own, so that it can die with all of its processes."""
    command = ["worker", "--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "--app", "oneapi_admin", *command],
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
