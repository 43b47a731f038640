"""One top-up for one key: whoever sends it, as often as they like, to whichever process, even a dying one."""

import http.client
import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from accounts.api import idempotency
from accounts.models import User
from accounts.services.access_tokens import create_access_token
from billing.models import LedgerEntry
from billing.services.audit import audit_ledger
from tests.factories import balance_of, make_admin, make_user
from tests.support.processes import WebProcess, web_processes

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 200


@pytest.fixture(scope="module")
def webs(django_db_setup: None) -> Iterator[list[WebProcess]]:
    with web_processes(2, API_REQUESTS_PER_TOKEN="100000", API_REQUESTS_PER_ADDRESS="100000") as started:
        yield started


@pytest.fixture
def key(transactional_db: None) -> str:
    _token, key = create_access_token(actor=None, user=make_admin(), name="shop", scopes=["topup"])
    return key


def top_up(port: int, key: str, user: User, **headers: str) -> tuple[int, Any]:
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("POST", f"/api/v1/users/{user.pk}/top-ups", json.dumps({"quota": 500}), sent)
        response = client.getresponse()
        return response.status, json.loads(response.read())


def race(webs: list[WebProcess], key: str, user: User, **headers: str) -> list[tuple[int, Any]]:
    """Everybody asks at the same moment, every other one another process."""
    start = Barrier(RACERS)

    def ask(number: int) -> tuple[int, Any]:
        start.wait()
        return top_up(webs[number % len(webs)].port, key, user, **headers)

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(ask, range(RACERS)))


def broken() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


@pytest.mark.parametrize("count", [1, 2], ids=["one process", "two processes"])
def test_200_top_ups_at_once_with_one_key_make_one_entry(webs, key, count) -> None:
    user = make_user()

    answers = race(webs[:count], key, user, Idempotency_Key="order-7")

    entry = LedgerEntry.objects.get()
    assert {status for status, _body in answers} == {201}
    assert {body["id"] for _status, body in answers} == {entry.pk}
    assert balance_of(user) == 500
    assert broken() == []


def test_control_200_top_ups_at_once_without_a_key_are_200(webs, key) -> None:
    user = make_user()

    answers = race(webs, key, user)

    assert {status for status, _body in answers} == {201}
    assert balance_of(user) == 200 * 500


def test_a_process_killed_between_effect_and_answer_has_said_nothing_but_the_retry_gets_the_entry(
    webs, key
) -> None:
    user = make_user()
    dying = WebProcess(module="tests.support.dying_web")
    dying.wait_until_it_serves()

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        top_up(dying.port, key, user, Idempotency_Key="order-7")
    status = dying.process.wait(30)
    entry = LedgerEntry.objects.get()
    retried = top_up(webs[0].port, key, user, Idempotency_Key="order-7")

    assert status == -signal.SIGKILL
    assert (retried[0], retried[1]["id"]) == (201, entry.pk)
    assert balance_of(user) == 500
    assert broken() == []


def test_control_without_the_claim_and_the_ledgers_memory_racers_are_credited_more_than_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guards are the unique record of the key and the ledger's own; here both are away."""
    from tests.api.conftest import Program

    _token, key = create_access_token(actor=None, user=make_admin(), name="shop", scopes=["topup"])
    user = make_user()
    monkeypatch.setattr(idempotency, "_claim", lambda _request, _key: None)
    monkeypatch.setattr("billing.api.users.ledger_key", lambda _request: None)

    def ask(_number: int) -> int:
        try:
            return Program(key).post(f"/users/{user.pk}/top-ups", {"quota": 5}, Idempotency_Key="1").status
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(8)))

    assert statuses == [201] * 8
    assert balance_of(user) == 40
