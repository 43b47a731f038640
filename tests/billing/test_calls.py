"""One transaction for the calls that end and those that begin."""

from typing import Any

import psycopg
import pytest
from django.db import connection

from billing.models import Hold, LedgerEntry, UsageRecord
from billing.services import calls
from billing.services.audit import audit_ledger
from billing.services.holds import Admission, TokenQuotaError, UserQuotaError
from tests.factories import NOON, account_of, admit_request, make_channel, make_token, make_user, settlement

pytestmark = pytest.mark.django_db(transaction=True)


def drift() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_a_call_is_admitted_on_what_the_calls_that_ended_in_its_batch_leave() -> None:
    user = make_user(balance=100)
    made = make_token(user)
    first, second = admit_request(made, estimate=80), admit_request(made, estimate=80)
    calls.admit(requests=[first], at=NOON)
    ended = settlement(made, make_channel(), quota=20, estimate=80, request_id=first.request_id)

    [settled], [admitted] = calls.commit(settlements=[ended], requests=[second], at=NOON)

    assert isinstance(admitted, Admission)
    assert (settled.quota, settled.available) == (20, 0)
    assert (account_of(user).balance, account_of(user).held) == (80, 80)
    assert Hold.objects.get().request_id == second.request_id
    assert drift() == []


def test_what_a_call_cost_is_not_there_for_the_next_one_of_its_batch() -> None:
    user = make_user(balance=100)
    made = make_token(user)
    first = admit_request(made, estimate=50)
    calls.admit(requests=[first], at=NOON)
    ended = settlement(made, make_channel(), quota=50, estimate=50, request_id=first.request_id)

    _settled, [refused] = calls.commit(
        settlements=[ended], requests=[admit_request(made, estimate=51)], at=NOON
    )

    assert isinstance(refused, UserQuotaError)
    assert (refused.left, refused.held) == (50, 0)
    assert drift() == []


def test_a_tokens_own_limit_counts_what_ended_in_the_same_batch() -> None:
    user = make_user(balance=1000)
    made = make_token(user, quota_limit=100)
    first = admit_request(made, estimate=90)
    calls.admit(requests=[first], at=NOON)
    ended = settlement(made, make_channel(), quota=60, estimate=90, request_id=first.request_id)
    requests = [admit_request(made, estimate=30), admit_request(made, estimate=30)]

    _settled, [admitted, refused] = calls.commit(settlements=[ended], requests=requests, at=NOON)

    assert isinstance(admitted, Admission)
    assert isinstance(refused, TokenQuotaError)
    assert (refused.left, refused.held) == (10, 30)
    assert drift() == []


def test_a_call_handed_in_twice_with_others_is_charged_once_and_frees_once() -> None:
    user = make_user(balance=1000)
    made, channel = make_token(user), make_channel()
    requests = [admit_request(made, estimate=50) for _ in range(2)]
    calls.admit(requests=requests, at=NOON)
    first, second = (
        settlement(made, channel, quota=10, estimate=50, request_id=request.request_id)
        for request in requests
    )

    calls.settle(settlements=[first], at=NOON)
    calls.settle(settlements=[first, second, second], at=NOON)

    assert (account_of(user).balance, account_of(user).held) == (980, 0)
    assert UsageRecord.objects.count() == 2
    assert LedgerEntry.objects.filter(kind="usage").count() == 2
    assert drift() == []


def test_postgresql_is_talked_to_twice_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    made, channel = make_token(make_user(balance=1000)), make_channel()
    request = admit_request(made, estimate=50)
    calls.admit(requests=[request], at=NOON)
    ended = settlement(made, channel, quota=10, estimate=50, request_id=request.request_id)
    waits: list[object] = []
    wait = psycopg.Connection.wait

    def count(self: Any, generator: Any, **options: Any) -> Any:
        waits.append(generator)
        return wait(self, generator, **options)

    monkeypatch.setattr(psycopg.Connection, "wait", count)

    calls.commit(settlements=[ended], requests=[admit_request(made)], at=NOON)

    assert len(waits) == (2 if connection.vendor == "postgresql" else 0)  # SQLite is in the process
