"""No room for the journal of calls that the ledger does not have yet."""

import http.client
import resource
from contextlib import closing
from pathlib import Path

import pytest

from accounts.services.access_tokens import create_access_token
from billing.models import Hold
from tests.factories import balance_of, make_token, make_user
from tests.faults.books import broken, charged
from tests.faults.callers import chat
from tests.support.processes import web_processes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def status_for_a_program(port: int, key: str) -> int:
    """What somebody else than callers of ``/v1`` gets, from Django and the database."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/api/v1/me", headers={"Authorization": f"Bearer {key}"})
        return connection.getresponse().status


def test_without_room_for_the_journal_calls_are_refused_and_pages_are_not_until_there_is_room(
    channel, journals: Path
) -> None:
    user = make_user(balance=5_000)
    key = make_token(user).key
    _token, program_key = create_access_token(actor=None, user=user, scopes=["read"], name="a program")
    with web_processes(
        2, module="tests.support.faulty_web", FAULTS="has_no_room", JOURNAL_DIR=str(journals)
    ) as [server, other]:
        for full in (server, other):
            refused = chat(full.port, key, tokens=10)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert b"no room on its disk" in refused.body
        assert status_for_a_program(server.port, program_key) == 200
        assert not Hold.objects.exists()
        assert list(journals.iterdir()) == []

        _soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        wait_until(lambda: list(journals.glob("*.calls")))
        answer = chat(server.port, key, tokens=10)

        assert answer.status == 200
        assert chat(other.port, key, tokens=10).status == 503, "the control: without room it stays refused"
    assert charged() == {answer.request_id: answer.charged}
    assert balance_of(user) == 5_000 - sum(charged().values())
    assert broken() == []
