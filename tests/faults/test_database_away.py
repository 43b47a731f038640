"""A database that goes away under load: calls are refused, or charged once when it is back, whoever does it."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from billing.models import Hold, UsageRecord
from tests.factories import account_of, balance_of, make_token, make_user
from tests.faults.books import broken, charged
from tests.faults.callers import Answer, Load, begin_chat, chat, journal_of
from tests.faults.conftest import Outage
from tests.support.processes import WebProcess, web_processes
from tests.support.waiting import wait_until

FAULTY_WEB = "tests.support.faulty_web"
KILLED = -signal.SIGKILL
pytestmark = pytest.mark.django_db(transaction=True)


def faulty_web(
    faults: str, outage: Outage, journals: Path, *, count: int = 1
) -> AbstractContextManager[list[WebProcess]]:
    return web_processes(
        count, module=FAULTY_WEB, FAULTS=faults, JOURNAL_DIR=str(journals), **outage.environment
    )


@pytest.mark.parametrize("fault", ["", "gives_charges_up"])
def test_under_load_calls_are_refused_while_it_is_away_or_charged_when_it_is_back(
    channel, outage: Outage, journals: Path, fault: str
) -> None:
    users = [make_user(balance=500_000) for _ in range(5)]
    *keys, slow = [make_token(user).key for user in users]
    with faulty_web(f"impatient {fault}", outage, journals) as [server]:

        def call(number: int) -> Answer:
            return chat(server.port, keys[number % 4], tokens=10, delay_ms=10, is_stream=number < 4)

        with Load(8, call) as load:
            wait_until(lambda: load.count(200) >= 20)
            over_it = [
                begin_chat(server.port, slow, tokens=10, delay_ms=250, is_stream=is_stream)
                for is_stream in (False, True)
            ]
            wait_until(lambda: Hold.objects.filter(account__user=users[-1]).count() == 2)
            outage.begin()
            wait_until(lambda: load.count(503) >= 16)
            over_it_answers = [call.wait() for call in over_it]
            outage.end()
            back = len(load.answers)
            wait_until(lambda: load.count(200, after=back) >= 20)
        if fault:
            server.stop(signal.SIGKILL)  # it would wait for what it gave up
        else:
            wait_until(lambda: not Hold.objects.exists())

    answers = [*load.answers, *over_it_answers]
    served = {answer.request_id: answer for answer in answers if answer.status == 200}
    refused = [answer for answer in answers if answer.status == 503]
    assert len(served) + len(refused) == len(answers)
    assert all(answer.is_whole for answer in answers)
    assert {answer.headers.get("retry-after") for answer in refused} == {"1"}
    assert [(answer.status, answer.charged) for answer in over_it_answers] == [(200, None)] * 2
    if fault:  # the control: had they not waited for the database, they would have been free
        assert served.keys() > charged().keys()
        return
    assert charged().keys() == served.keys()
    assert all(answer.charged in (None, charged()[answer.request_id]) for answer in served.values())
    assert 5 * 500_000 - sum(balance_of(user) for user in users) == sum(charged().values())
    assert broken() == []


@contextmanager
def dying_web(faults: str, journals: Path) -> Iterator[WebProcess]:
    """A process that may die before it serves."""
    server = WebProcess(FAULTY_WEB, FAULTS=faults, JOURNAL_DIR=str(journals), RELAY_GROUP_COMMIT_SIZE="1")
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


def test_what_killed_processes_kept_is_charged_once_however_often_it_is_replayed(
    channel, outage: Outage, journals: Path, tmp_path: Path
) -> None:
    user, lucky = make_user(balance=50_000), make_user(balance=50_000)
    key, lucky_key = make_token(user).key, make_token(lucky).key
    with faulty_web("impatient", outage, journals, count=2) as [server, without_journal]:
        calls = [
            begin_chat(port, used, tokens=10, delay_ms=250, is_stream=is_stream)
            for port, used in ((server.port, key), (without_journal.port, lucky_key))
            for is_stream in (False, True, True)
        ]
        wait_until(lambda: Hold.objects.count() == 6)
        outage.begin()
        answers = [call.wait() for call in calls]
        for killed in (server, without_journal):
            assert killed.stop(signal.SIGKILL) == KILLED
        journal_of(without_journal, journals).unlink()  # the control
    outage.end()
    assert [(answer.status, answer.is_whole, answer.charged) for answer in answers] == [(200, True, None)] * 6
    assert not UsageRecord.objects.exists()
    kept = shutil.copy(journal_of(server, journals), tmp_path)

    with dying_web("dies_after_charging_once", journals) as dying:
        assert dying.process.wait(20) == KILLED
    assert UsageRecord.objects.count() == 1
    with faulty_web("", outage, journals):
        wait_until(lambda: len(list(journals.iterdir())) == 1)

    assert charged().keys() == {answer.request_id for answer in answers[:3]}
    assert 50_000 - balance_of(user) == sum(charged().values())
    assert account_of(user).held == 0
    assert broken() == []
    assert balance_of(lucky) == 50_000, "without its journal, what it served is free"

    back = shutil.move(kept, journals)
    with faulty_web("forgets_what_it_charged", outage, journals):  # the control for who charges twice
        wait_until(lambda: not Path(back).exists())
    assert 50_000 - balance_of(user) == 2 * sum(charged().values())
    assert broken() != []
