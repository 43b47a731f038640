"""Programs that end with whoever started them."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from oneapi_admin.supervisor.children import LEASH
from tests.serve.installation import wait_until

PARENT = """
import os, signal, subprocess, sys
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
program = (sys.executable, "-c", "import signal; signal.pause()")
leash = (sys.executable, "-IS", sys.argv[1], str(os.getpid()), sys.argv[2], "-")
child = subprocess.Popen([*leash, *program])
print(child.pid, flush=True)
child.wait()
"""


@contextmanager
def parent_and_child(number: signal.Signals) -> Iterator[tuple["subprocess.Popen[str]", psutil.Process]]:
    command = [sys.executable, "-c", PARENT, str(LEASH), str(int(number))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            yield parent, child
        finally:
            parent.kill()
            with suppress(psutil.NoSuchProcess):
                child.kill()


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL])
def test_a_program_ends_with_its_parent_though_the_signal_was_ignored_where_they_come_from(
    number: signal.Signals,
) -> None:
    with parent_and_child(number) as (parent, child):
        wait_until(lambda: str(LEASH) not in child.cmdline(), "the program runs")
        parent.send_signal(signal.SIGKILL)
        parent.wait()

        _gone, alive = psutil.wait_procs([child], timeout=20)

    assert not alive
