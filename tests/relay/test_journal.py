"""The file of calls that the ledger does not have: what it keeps, and what is found after a death."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from relay.journal import Journal, JournalFullError, KeptCall, abandoned

HELD = """
import os, sys, pathlib
from relay.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]), slots=4)
journal.open("admitted")
journal.open("streaming")
journal.begin_serving("streaming", {"price": 1})
journal.note_progress("streaming", 7)
journal.open("kept")
journal.begin_serving("kept", {"price": 2})
journal.keep_served("kept", {"quota": 3, "name": "张三"})
journal.open("closed")
journal.close_call("closed")
print(journal.path, flush=True)
sys.stdin.read()
"""


def calls_in(path: Path) -> list[KeptCall] | None:
    with abandoned(path) as calls:
        return calls


def test_what_a_killed_process_left_is_found_once(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    path = Path(process.stdout.readline().strip())
    assert calls_in(path) is None, "a living process's calls are its own"

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert sorted(calls_in(path), key=lambda call: call.request_id) == [
        KeptCall(request_id="admitted", serving=None, progress=0, served=None),
        KeptCall(request_id="kept", serving={"price": 2}, progress=0, served={"quota": 3, "name": "张三"}),
        KeptCall(request_id="streaming", serving={"price": 1}, progress=7, served=None),
    ]
    assert not path.exists()
    assert calls_in(path) is None


def test_calls_that_could_not_be_dealt_with_stay(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=1)
    journal.open("call")
    journal.close()

    with pytest.raises(ConnectionError), abandoned(journal.path):
        raise ConnectionError

    assert [call.request_id for call in calls_in(journal.path)] == ["call"]


def test_nobody_else_gets_the_calls_meanwhile(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=1)
    journal.open("call")
    journal.close()

    with abandoned(journal.path) as first:
        assert len(first) == 1
        assert calls_in(journal.path) is None


def test_a_half_written_record_counts_as_not_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=2)
    for name in ("torn", "whole"):
        journal.open(name)
        journal.begin_serving(name, {"price": 1})
        journal.keep_served(name, {"quota": 3})
    journal.close()
    raw = journal.path.read_bytes()
    torn_at = raw.index(b"torn") // 8192 * 8192
    place = raw.index(b'"quota":3', torn_at)
    journal.path.write_bytes(raw[:place] + b'"quo\0\0\0\0\0' + raw[place + 9 :])

    found = {call.request_id: call.served for call in calls_in(journal.path)}

    assert found == {"torn": None, "whole": {"quota": 3}}


def test_a_slot_is_used_again_without_what_was_in_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=1)
    journal.open("first")
    journal.begin_serving("first", {"price": 1})
    journal.note_progress("first", 9)
    journal.keep_served("first", {"quota": 3})
    journal.close_call("first")
    journal.open("second")
    journal.close()

    assert calls_in(journal.path) == [KeptCall(request_id="second", serving=None, progress=9, served=None)], (
        "the progress of no stream says nothing"
    )


def test_the_last_slot_is_the_last_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=2)
    journal.open("first")
    journal.open("second")

    with pytest.raises(JournalFullError):
        journal.open("third")

    journal.close_call("first")
    journal.open("third")
    assert journal.open_count == 2


def test_the_longest_names_fit(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=1)
    journal.open("x" * 64)
    names = dict.fromkeys(("username", "token", "channel"), "𝔘" * 64)
    models = dict.fromkeys(("model", "served_model"), "𝔘" * 128)
    journal.begin_serving("x" * 64, {**names, **models, "price_version": "x" * 64})
    journal.keep_served("x" * 64, {**names, **models, "error_code": "𝔘" * 64})

    with pytest.raises(ValueError, match="does not fit"):
        journal.keep_served("x" * 64, {"model": "x" * 8192})
    journal.close()
    assert calls_in(journal.path)[0].served["model"] == models["model"]


def test_an_empty_journal_leaves_no_file(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=2)
    journal.open("call")
    journal.close_call("call")
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_without_room_there_is_no_journal_and_no_file(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
    limit += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    code = limit + "import sys, pathlib; from relay.journal import Journal;"
    code += "Journal(pathlib.Path(sys.argv[1]), slots=8)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert os.strerror(errno.EFBIG) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_block_is_allocated_before_the_first_call(tmp_path: Path) -> None:
    journal = Journal(tmp_path, slots=64)
    status = journal.path.stat()
    assert status.st_blocks * 512 >= status.st_size == 64 * 8192
    journal.close()
