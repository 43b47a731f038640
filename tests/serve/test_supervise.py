"""The supervisor's loop, with children that misbehave."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from oneapi_admin.supervisor import children, supervise
from oneapi_admin.supervisor.children import ChildSpec
from oneapi_admin.supervisor.supervise import Stage, Stages

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(os.environ["READY_FD"]), b"x")
signal.pause()
"""


def spec(code: str, **fields: Any) -> ChildSpec:
    return ChildSpec(
        **{"name": "tried", "command": (sys.executable, "-c", code), "stop_seconds": 5, **fields}
    )


def run(spec: ChildSpec, on_ready: Callable[[], None]) -> str:
    stage = Stage(specs=[spec])
    return asyncio.run(
        supervise.supervise(Stages(start=[stage], stop=[stage]), on_ready=on_ready, on_stopping=lambda: None)
    )


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_child_that_keeps_dying_ends_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY", 0.001)

    trouble = run(spec("raise SystemExit(3)"), on_ready=lambda: None)

    assert trouble == "tried died 5 times in a row, the last time with exit status 3; its log says why."


def test_a_child_that_will_not_stop_is_killed() -> None:
    trouble = run(spec(STUBBORN, says_ready=True, stop_seconds=0.1), on_ready=ask_to_stop)

    assert trouble == ""


def test_a_program_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "FIRST_DELAY", 0.001)

    trouble = run(spec("", command=("/nowhere/at/all",)), on_ready=lambda: None)

    assert trouble.startswith("tried died 5 times in a row")
