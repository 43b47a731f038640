"""Batches in which one call cannot be written."""

import asyncio
import threading
from pathlib import Path
from typing import NoReturn

import pytest
from django.db import OperationalError, connections

from billing.models import Hold, UsageRecord
from billing.services import calls, holds
from billing.services.audit import audit_ledger
from oneapi_admin.lib.errors import DomainError
from relay import metering
from relay.errors import StoreUnavailableError
from relay.journal import Journal
from tests.factories import NOON, admit_request, balance_of, make_channel, make_token, make_user, settlement

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def meter(tmp_path: Path) -> metering.Metering:
    return metering.Metering(Journal(tmp_path, slots=64))


@pytest.mark.parametrize("poison", [{"error_code": "\ud800"}, {"upstream_cost": 2**63}, {"quota": 2**70}])
def test_a_call_that_no_database_takes_does_not_let_others_of_its_batch_go_free(poison, meter) -> None:
    user = make_user(balance=1000)
    made, channel = make_token(user), make_channel()
    good = [settlement(made, channel, quota=10) for _ in range(2)]
    bad = settlement(made, channel, **{"quota": 10, **poison})
    requests = [admit_request(made, request_id=call.request_id) for call in (good[0], bad, good[1])]
    calls.admit(requests=requests, at=NOON)

    first, refused, last = meter._commit([good[0], bad, good[1]])

    assert isinstance(refused, Exception)
    assert [first.quota, last.quota] == [10, 10]
    assert balance_of(user) == 980
    assert UsageRecord.objects.count() == 2
    assert Hold.objects.get().request_id == bad.request_id
    assert [check.code for check in audit_ledger() if check.broken] == []


def test_a_call_that_cannot_be_planned_does_not_refuse_the_others_of_its_batch(meter) -> None:
    made = make_token(make_user(balance=1000))

    def break_down(*_args: object) -> None:
        raise RecursionError

    good = admit_request(made)
    results = meter._commit([good, admit_request(made, plan=break_down)])

    assert isinstance(results[0], holds.Admission)
    assert isinstance(results[1], RecursionError)
    assert not isinstance(results[1], DomainError)
    assert Hold.objects.get().request_id == good.request_id


def test_who_costs_nothing_does_not_wait_for_a_busy_ledger(meter, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_token(make_user(balance=1000))
    entered, leave = threading.Event(), threading.Event()

    def stay(*_args: object, **_kwargs: object) -> NoReturn:
        entered.set()
        assert leave.wait(20)
        raise OperationalError

    monkeypatch.setattr(calls, "commit", stay)

    async def scenario() -> int:
        waiting = meter._calls.submit(admit_request(made))
        assert await asyncio.to_thread(entered.wait, 20)
        asked = meter.identify(key_hash=made.token.key_hash, client_ip="127.0.0.1")
        caller, _config = await asyncio.wait_for(asked, 20)
        leave.set()
        with pytest.raises(StoreUnavailableError):
            await waiting
        await asyncio.get_running_loop().run_in_executor(meter._aside, connections.close_all)
        return caller.token_id

    assert asyncio.run(scenario()) == made.token.pk
