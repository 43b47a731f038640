"""``python -m bench`` finds every benchmark."""

import subprocess
import sys

import pytest

from bench.__main__ import NAMES
from tests.support.processes import ROOT


def bench(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_that_is_named_gets_its_options(name: str) -> None:
    asked = bench(name, "--help")

    assert asked.returncode == 0, asked.stderr
    assert f"usage: python -m bench.{name}" in asked.stdout


def test_a_name_that_is_none_is_refused_with_those_that_are() -> None:
    asked = bench("nothing")

    assert asked.returncode == 2
    assert ", ".join(NAMES) in asked.stderr
