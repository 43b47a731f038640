"""Corrections race: one entry is reversed once, one call is refunded at most what it cost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection

from billing.models import BulkTopUp, EntryKind, LedgerEntry, UsageRecord
from billing.services import accounts, bulk_undo, refunds, reversals
from billing.services.audit import audit_ledger
from billing.services.bulk import TopUp, top_up_many
from billing.services.calls import settle
from oneapi_admin.lib.errors import DomainError
from tests.factories import NOON, balance_of, make_admin, make_channel, make_token, make_user, settlement

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 8


def race(act: Callable[[], Any]) -> list[Any]:
    """What each of those who act at the same moment gets: a result or a refusal."""
    start = Barrier(RACERS)

    def one(_number: int) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return act()
        except (DomainError, IntegrityError) as exc:
            return exc
        finally:
            connection.close()

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(one, range(RACERS)))


def entries_of(results: list[Any]) -> list[LedgerEntry]:
    return [result for result in results if isinstance(result, LedgerEntry)]


def broken() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_simultaneous_reversals_of_one_entry_make_one() -> None:
    admin, user = make_admin(), make_user(balance=1_000)
    entry = accounts.top_up(actor=admin, user=user, quota=100, at=NOON)

    results = race(lambda: reversals.reverse(actor=admin, entry=entry, memo="m", at=NOON))

    assert len(entries_of(results)) == 1
    assert {type(result) for result in results} == {LedgerEntry, reversals.AlreadyReversedError}
    assert balance_of(user) == 1_000
    assert broken() == []


def test_simultaneous_undos_of_a_bulk_top_up_take_each_entry_back_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    admin, users = make_admin(), [make_user(balance=1_000) for _ in range(4)]
    top_up_many(actor=admin, items=[TopUp(user_id=user.pk, quota=100) for user in users], at=NOON)
    run = BulkTopUp.objects.get()
    monkeypatch.setattr(bulk_undo, "_AT_ONCE", 2)

    undos = race(lambda: bulk_undo.undo(actor=admin, run=run, memo="m", allow_partial=True, at=NOON))

    items = [item for undone in undos for item in undone]
    assert len(items) == RACERS * len(users)
    assert sum(item.amount for item in items) == 400
    assert {item.refusal.code for item in items if item.refusal} == {"already_reversed"}
    assert [balance_of(user) for user in users] == [1_000] * 4
    assert broken() == []


def test_control_where_nobody_looks_the_database_still_lets_one_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the lock and the look at earlier reversals, the unique constraint is what is left."""
    admin, user = make_admin(), make_user(balance=1_000)
    entry = accounts.top_up(actor=admin, user=user, quota=100, at=NOON)
    monkeypatch.setattr(reversals, "_obstacle", lambda *_args, **_kwargs: None)

    results = race(lambda: reversals.reverse(actor=admin, entry=entry, memo="m", at=NOON))

    assert {type(result) for result in results} == {LedgerEntry, IntegrityError}
    assert len(entries_of(results)) == 1
    assert balance_of(user) == 1_000


def test_simultaneous_refunds_never_give_back_more_than_was_charged() -> None:
    admin, user = make_admin(), make_user(balance=1_000)
    settle(settlements=[settlement(make_token(user), make_channel(), quota=100)], at=NOON)
    call = UsageRecord.objects.get()

    results = race(lambda: refunds.refund(actor=admin, call=call, quota=40, memo="m", at=NOON))

    assert [entry.amount for entry in entries_of(results)] == [40, 40]
    assert balance_of(user) == 980
    assert broken() == []


def test_control_without_the_accounts_lock_refunds_exceed_the_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    admin, user = make_admin(), make_user(balance=1_000)
    settle(settlements=[settlement(make_token(user), make_channel(), quota=100)], at=NOON)
    call = UsageRecord.objects.get()
    everybody_looked = Barrier(RACERS)

    def look(**_fields: Any) -> int:
        return 0 if everybody_looked.wait() < 0 else 40

    monkeypatch.setattr(refunds, "lock_account", lambda **_fields: None)
    monkeypatch.setattr(refunds, "refund_amount", look)
    if connection.vendor == "sqlite":
        everybody_looked = Barrier(1)  # its transactions come one after the other
    results = race(lambda: refunds.refund(actor=admin, call=call, quota=40, memo="m", at=NOON))

    assert len(entries_of(results)) == RACERS


def test_reversals_and_adjustments_at_once_leave_no_balance_below_zero() -> None:
    admin, user = make_admin(), make_user()
    entry = accounts.top_up(actor=admin, user=user, quota=100, at=NOON)

    def take() -> LedgerEntry:
        return accounts.adjust(actor=admin, user=user, quota=-60, memo="m", at=NOON)

    def take_back() -> LedgerEntry:
        return reversals.reverse(actor=admin, entry=entry, memo="m", at=NOON)

    turns = iter([take, take_back] * (RACERS // 2))

    def act() -> LedgerEntry:
        return next(turns)()

    results = race(act)

    assert len(entries_of(results)) == 1  # there is quota for one of them
    assert balance_of(user) in (0, 40)
    assert LedgerEntry.objects.filter(kind__in=(EntryKind.ADJUSTMENT, EntryKind.REVERSAL)).count() == 1
