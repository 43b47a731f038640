"""What a large file takes of memory, measured in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MOST_MIB = 8
"""180,000 codes in a list alone take 14 MiB."""

MEASURE = r"""
import os, re, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from redemption.exports import FORMATS
from tests.redemption.exports.examples import make_codes, make_sheet

def write(count):
    codes = make_codes(count)
    for piece in FORMATS[sys.argv[1]].write(make_sheet(), list(codes) if sys.argv[2:] else codes):
        assert piece
    with open("/proc/self/status") as status:  # getrusage would tell what this process was forked from
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1])

small = write(20_000)
print((write(200_000) - small) / 1024)
"""


def growth(*arguments: str) -> float:
    """MiB that 200,000 codes take more than 20,000."""
    command = [sys.executable, "-c", MEASURE, *arguments]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("name", ["csv", "txt", "xlsx"])
def test_ten_times_as_many_codes_take_no_more_memory(name: str) -> None:
    assert growth(name) < MOST_MIB


def test_control_codes_that_are_listed_first_take_more() -> None:
    assert growth("txt", "listed") > MOST_MIB
