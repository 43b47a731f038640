"""A relay process that is killed at any moment: nothing served is free, nothing is charged twice."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from billing.models import Hold, UsageRecord
from billing.services import holds
from tests.factories import account_of, balance_of, make_token, make_user
from tests.faults.books import broken
from tests.faults.callers import begin_chat, chat, journal_of
from tests.support.processes import web_processes
from tests.support.waiting import wait_until

KILLED = -signal.SIGKILL
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("is_journal_lost", [False, True])
def test_a_stream_is_charged_for_what_was_served_before_its_process_was_killed(
    channel, journals: Path, is_journal_lost: bool
) -> None:
    user = make_user(balance=5_000)
    made = make_token(user)
    with web_processes(1, JOURNAL_DIR=str(journals)) as [server]:
        call = begin_chat(server.port, made.key, tokens=500, delay_ms=20, is_stream=True)
        wait_until(lambda: call.answer.events >= 20)
        assert server.stop(signal.SIGKILL) == KILLED
        served = call.wait().events
    assert Hold.objects.count() == 1
    [journal] = journals.iterdir()
    if is_journal_lost:  # the control: without it, the stream would have been free
        journal.unlink()

    with web_processes(1, JOURNAL_DIR=str(journals)):
        wait_until(lambda: not journal.exists())

    if is_journal_lost:
        assert not UsageRecord.objects.exists()
        return
    record = UsageRecord.objects.get()
    assert (record.status, record.error_code) == ("interrupted", "relay_died")
    assert record.usage_source == "estimated"
    assert served <= record.completion_tokens <= served + 40
    assert record.quota == 5_000 - balance_of(user) > 0
    assert record.upstream_cost > 0
    assert account_of(user).held == 0
    assert broken() == []


def test_what_calls_of_a_killed_process_hold_is_given_back_by_another_within_seconds(
    channel, journals: Path
) -> None:
    user, unlucky = make_user(balance=5_000), make_user(balance=5_000)
    with web_processes(3, JOURNAL_DIR=str(journals)) as [server, without_journal, _another]:
        for killed, caller in ((server, user), (without_journal, unlucky)):
            begin_chat(killed.port, make_token(caller).key, tokens=10, delay_ms=30_000)
        wait_until(lambda: Hold.objects.count() == 2)
        journal_of(without_journal, journals).unlink()  # the control
        killed_at = timezone.now()
        for killed in (without_journal, server):
            assert killed.stop(signal.SIGKILL) == KILLED

        wait_until(lambda: account_of(user).held == 0)

    assert timezone.now() - killed_at < timedelta(seconds=15)
    assert balance_of(user) == 5_000
    assert not UsageRecord.objects.exists()
    assert account_of(unlucky).held > 0, "without its journal, only the sweeper knows of the hold"
    assert holds.expire(at=timezone.now()) == 0
    assert holds.expire(at=timezone.now() + timedelta(minutes=11)) == 1
    assert broken() == []


def test_a_process_that_dies_when_it_charges_a_call_charges_it_as_far_as_it_was_served(
    channel, journals: Path, tmp_path: Path
) -> None:
    """An answer in JSON leaves after its charge, and the last event of a stream before it."""
    points = [
        (fault, is_stream)
        for fault in ("dies_before_charging", "dies_after_charging")
        for is_stream in (False, True)
    ]
    user = make_user(balance=50_000)
    key = make_token(user).key
    answers = {}
    journals.mkdir()
    for fault, is_stream in points:
        own = tmp_path / f"{fault}-{is_stream}"  # else it would die of what the one before it left
        environment = {"module": "tests.support.faulty_web", "FAULTS": fault, "JOURNAL_DIR": str(own)}
        with web_processes(1, **environment) as [server]:
            answers[fault, is_stream] = chat(server.port, key, tokens=10, delay_ms=20, is_stream=is_stream)
            assert server.process.wait(20) == KILLED
        [left] = own.iterdir()
        left.rename(journals / left.name)
    served = {point: answer for point, answer in answers.items() if answer.status}

    with web_processes(1, JOURNAL_DIR=str(journals)):
        wait_until(lambda: not Hold.objects.exists() and len(list(journals.iterdir())) == 1)

    assert {is_stream for _fault, is_stream in served} == {True}
    assert [answer.is_whole for answer in served.values()] == [False] * 2
    assert all(answer.events for answer in served.values())
    records = {record.request_id: record for record in UsageRecord.objects.all()}
    assert len(records) == 3, "a call that was charged before it was answered, and both streams"
    for answer in served.values():
        assert records[answer.request_id].completion_tokens >= 10
    assert 50_000 - balance_of(user) == sum(record.quota for record in records.values())
    assert account_of(user).held == 0
    assert broken() == []
