"""The machine's clock is set by an hour while calls are under way."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import Hold, UsageRecord
from billing.services import holds
from tests.factories import account_of, balance_of, make_token, make_user
from tests.faults.books import broken, charged
from tests.faults.callers import Answer, begin_chat, chat
from tests.support.processes import WebProcess, web_processes
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Timed:
    """A process whose clock goes wrong by what stands in the file, in seconds."""

    server: WebProcess
    clock: Path


@contextmanager
def timed_web(folder: Path, fault: str = "") -> Iterator[Timed]:
    clock = folder / "offset"
    clock.write_text("0")
    faults = f"has_a_clock_that_is_set {fault}"
    environment = {"FAULTS": faults, "CLOCK": str(clock), "JOURNAL_DIR": str(folder / "journal")}
    with web_processes(1, module="tests.support.faulty_web", **environment) as [server]:
        yield Timed(server, clock)


@pytest.fixture(scope="module")
def timed(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Timed]:
    with timed_web(tmp_path_factory.mktemp("clock")) as running:
        yield running


def calls_over_a_step(timed: Timed, user: User, step: timedelta) -> tuple[list[Answer], int]:
    """A call over which the clock is set, one that begins after it, and one that does all of it.

    :returns: they, and how many holds of calls under way a sweeper gave back that goes by the same clock
    """
    key, port = make_token(user).key, timed.server.port
    timed.clock.write_text("0")
    over_it = begin_chat(port, key, tokens=20, delay_ms=100, is_stream=True)
    wait_until(lambda: over_it.answer.events)
    timed.clock.write_text(str(step.total_seconds()))
    swept = holds.expire(at=timezone.now() + step)
    assert not over_it.answer.is_whole
    after_it = begin_chat(port, key, tokens=20, delay_ms=100, is_stream=True)
    wait_until(lambda: after_it.answer.events)
    swept_late = holds.expire(at=timezone.now() + step)
    assert not after_it.answer.is_whole
    assert swept_late == 0, "the hold of a call that begins now is no old one"
    return [over_it.wait(), after_it.wait(), chat(port, key, tokens=10)], swept


@pytest.mark.parametrize(("step", "swept"), [(HOUR, 1), (-HOUR, 0)])
def test_a_call_over_which_the_clock_is_set_is_charged_once_for_what_it_took(
    channel, timed: Timed, step: timedelta, swept: int
) -> None:
    """A hold that the sweeper takes for an old one is no leave to call for free."""
    user = make_user(balance=50_000)

    answers, given_back = calls_over_a_step(timed, user, step)
    wait_until(lambda: not Hold.objects.exists())

    assert given_back == swept
    assert [(answer.status, answer.is_whole) for answer in answers] == [(200, True)] * 3
    assert charged().keys() == {answer.request_id for answer in answers}
    assert balance_of(user) == 50_000 - sum(charged().values())
    assert account_of(user).held == 0
    assert broken() == []
    for record in UsageRecord.objects.all():
        assert 0 <= record.first_byte_ms <= record.duration_ms < 20_000


def test_a_call_whose_hold_was_swept_would_be_free_were_only_what_is_held_charged(
    channel, tmp_path: Path
) -> None:
    user = make_user(balance=50_000)
    with timed_web(tmp_path, "charges_only_what_is_held") as timed:
        answers, _swept = calls_over_a_step(timed, user, HOUR)

    assert charged().keys() == {answer.request_id for answer in answers[1:]}
