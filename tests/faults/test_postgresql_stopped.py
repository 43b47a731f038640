"""PostgreSQL dies under load and is started again."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from billing.models import Hold
from tests.factories import balance_of, make_token, make_user
from tests.faults.books import broken, charged
from tests.faults.callers import Answer, Load, chat
from tests.support import postgres
from tests.support.processes import web_processes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(channel) -> Iterator[postgres.Server]:
    """A durable server with the test's data, which the test and its processes use from now on."""
    users_host = connection.settings_dict["HOST"]
    with postgres.private_copy() as copy:
        connection.close()
        connection.settings_dict["HOST"] = str(copy.folder)
        yield copy
        connection.close()
        connection.settings_dict["HOST"] = users_host


def commit_in_memory_only() -> list[int]:
    """Let the server answer before a commit is on disk, and halt its processes that would write it later.

    :returns: those processes; dead ones do not keep the server from stopping
    """
    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET synchronous_commit = off")
        cursor.execute("SELECT pg_reload_conf()")
        cursor.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE backend_type IN ('walwriter', 'background writer', 'checkpointer')"
        )
        pids = [pid for (pid,) in cursor.fetchall()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


@pytest.mark.parametrize("is_durable", [True, False])
def test_under_load_every_call_is_charged_or_refused_when_the_server_dies_and_recovers(
    server: postgres.Server, journals: Path, is_durable: bool
) -> None:
    users = [make_user(balance=500_000) for _ in range(4)]
    keys = [make_token(user).key for user in users]
    # The control: what callers were told to have paid goes with the server.
    writers = [] if is_durable else commit_in_memory_only()
    with web_processes(
        1, module="tests.support.faulty_web", FAULTS="impatient", JOURNAL_DIR=str(journals)
    ) as [web]:

        def call(number: int) -> Answer:
            return chat(web.port, keys[number % 4], tokens=10, delay_ms=10, is_stream=number < 4)

        with Load(8, call) as load:
            wait_until(lambda: load.count(200) >= 40)
            connection.close()
            for pid in writers:
                os.kill(pid, signal.SIGKILL)
            server.stop("immediate")
            wait_until(lambda: load.count(503) >= 16)
            server.start()
            back = len(load.answers)
            wait_until(lambda: load.count(200, after=back) >= 40)
        if is_durable:  # else holds are left whose charges were lost
            wait_until(lambda: not Hold.objects.exists())

    served = {answer.request_id: answer for answer in load.answers if answer.status == 200}
    refused = [answer for answer in load.answers if answer.status == 503]
    assert len(served) + len(refused) == len(load.answers)
    assert all(answer.is_whole for answer in load.answers)
    assert {answer.headers.get("retry-after") for answer in refused} == {"1"}
    if not is_durable:
        assert served.keys() - charged().keys()
        return
    assert charged().keys() == served.keys()
    assert all(answer.charged in (None, charged()[answer.request_id]) for answer in served.values())
    assert 4 * 500_000 - sum(balance_of(user) for user in users) == sum(charged().values())
    assert broken() == []
