"""The accuracy benchmark in its smallest form, on real processes and the tests' database."""

from pathlib import Path

import bpe_openai
import pytest
from django.db import connection

from bench.accuracy import records, report, run, traffic
from bench.accuracy.checks import Fault, check
from bench.accuracy.options import QUICK

LOAD = QUICK.with_changes(calls=400, seconds=5, clients=24, accounts=4)


def test_the_words_of_the_traffic_are_a_token_each() -> None:
    encoding = bpe_openai.get_encoding("o200k_base")

    assert [word for word in traffic.WORDS if len(encoding.encode_ordinary(word)) != 1] == []
    assert [word for word in traffic.WORDS if len(encoding.encode_ordinary(f" {word}")) != 1] == []
    assert {len(word) for word in traffic.WORDS} == {4}


def test_without_real_traffic_as_much_is_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "TRACE", Path("/nowhere"))

    calls = traffic.plan(calls=25_000, callers=6, seconds=60, seed=1)

    assert len(calls) == 25_000
    assert sorted(calls, key=lambda call: call.at) == calls
    assert calls[-1].at == pytest.approx(60)
    assert {call.caller for call in calls} == set(range(6))
    assert {call.kind for call in calls} == set(traffic.KINDS)


@pytest.mark.django_db(transaction=True)
def test_every_unit_is_accounted_for_under_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run.measure(LOAD, tmp_path)
    report.print_report(result, LOAD)

    printed = capsys.readouterr().out
    assert result.is_sound, printed
    assert [line.count("|") for line in printed.splitlines() if line.startswith("| free calls")] == [4]
    endings = {(seen.status, seen.ending.value) for seen in result.observed.seen}
    assert {(200, "answered"), (403, "answered"), (502, "answered"), (200, "the client left")} <= endings
    assert len(result.observed.books.rows) > 150

    # The control: the same comparison sees what is taken out of the real books behind the product's back.
    served = next(row for row in result.observed.books.rows if row.quota and row.usage_source == "upstream")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_usagerecord WHERE request_id = %s", [served.request_id])
        cursor.execute("UPDATE billing_quotaaccount SET held = 7 WHERE user_id = %s", [served.account_id])
    result.observed.books = records.read_books()

    faults = check(result.observed).faults

    assert len(faults[Fault.LEAKED_HOLD]) == 1
    assert faults[Fault.LOST_ROW] or faults[Fault.FREE_CALL]
    assert faults[Fault.DOUBLE_CHARGE], "its entry takes more than its rows, and its account lost it"
