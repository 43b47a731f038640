"""A code pays as often as it should, whoever races for it; and controls show that the races are real."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, repeat
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import User
from billing.models import EntryKind, LedgerEntry
from billing.services.audit import audit_ledger
from oneapi_admin.lib.sql import Statements
from redemption import code_format, queries
from redemption.models import Redemption, RedemptionCode
from redemption.services import batches, redeeming
from redemption.services.codes import set_code_status
from redemption.services.locked_codes import LockedCode, ask_for_code, code_in
from redemption.services.secrets import code_digests
from tests.factories import NOON, balance_of, make_code, make_codes, make_root, make_user
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 64
QUOTA = 500


def race(redeem: Callable[[User], bool], users: Sequence[User]) -> int:
    """Let everybody redeem at the same moment; how many believe that they did."""
    start = Barrier(len(users))

    def one(user: User) -> bool:
        try:
            connection.ensure_connection()
            start.wait()
            return redeem(user)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(users)) as pool:
        return sum(pool.map(one, users))


def redeemer(codes: Iterator[str]) -> Callable[[User], bool]:
    """Redeems the next of the codes, and says whether it could be."""

    def redeem(user: User) -> bool:
        try:
            redeeming.redeem(code=next(codes), user=user, at=NOON)
        except redeeming.CodeNotRedeemableError:
            return False
        return True

    return redeem


def looked_at(code: str) -> LockedCode:
    """A code as it is at the moment, with a lock that is let go at once."""
    with transaction.atomic():
        found = code_in(ask_for_code(Statements(), code_digests(code_format.read(code))))
    assert found is not None
    return found


def credits() -> int:  # noqa: A001
    return LedgerEntry.objects.filter(kind=EntryKind.REDEMPTION).count()


def broken_invariants() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_64_simultaneous_redemptions_of_one_code_give_one_credit() -> None:
    code, users = make_code(quota=QUOTA), [make_user() for _ in range(RACERS)]

    credited = race(redeemer(repeat(code)), users)

    assert (credited, credits()) == (1, 1)
    assert sum(balance_of(user) for user in users) == QUOTA
    assert broken_invariants() == []


def test_64_people_at_a_code_for_ten_of_them_give_ten_credits() -> None:
    code, users = make_code(quota=QUOTA, uses_per_code=10), [make_user() for _ in range(RACERS)]

    credited = race(redeemer(repeat(code)), users)

    assert (credited, credits()) == (10, 10)
    assert Counter(balance_of(user) for user in users) == {QUOTA: 10, 0: RACERS - 10}
    assert sorted(Redemption.objects.values_list("number", flat=True)) == list(range(1, 11))
    assert (queries.batches().get().redeemed_count, queries.batches().get().used_count) == (10, 1)
    assert broken_invariants() == []


def test_one_person_64_times_at_a_code_for_ten_people_gets_one_credit() -> None:
    code, user = make_code(quota=QUOTA, uses_per_code=10), make_user()

    credited = race(redeemer(repeat(code)), [user] * RACERS)

    assert (credited, credits(), balance_of(user)) == (1, 1, QUOTA)
    assert broken_invariants() == []


def test_one_person_at_64_codes_of_a_batch_for_newcomers_gets_one_credit() -> None:
    codes, user = iter(make_codes(quota=QUOTA, count=RACERS, is_once_per_user=True)), make_user()

    credited = race(redeemer(codes), [user] * RACERS)

    assert (credited, credits(), balance_of(user)) == (1, 1, QUOTA)


def test_64_people_at_64_codes_of_a_batch_get_one_credit_each() -> None:
    codes = make_codes(quota=QUOTA, count=RACERS)

    credited = race(redeemer(iter(codes)), [make_user() for _ in range(RACERS)])

    assert (credited, credits()) == (RACERS, RACERS)
    assert queries.batches().get().redeemed_count == RACERS
    assert broken_invariants() == []


@pytest.mark.parametrize(("uses", "racers"), [(1, 8), (10, 16)])
def test_control_without_its_two_guards_the_same_service_pays_every_racer(
    monkeypatch: pytest.MonkeyPatch, uses: int, racers: int
) -> None:
    """The guards are the lock under which a code is read, and the number that a use has of its own.

    Here everybody looks at the code before anybody uses it, as happens by itself on a busy server.
    """
    code, users = make_code(quota=QUOTA, uses_per_code=uses), [make_user() for _ in range(racers)]
    everybody_looked, seen = Barrier(racers), threading.local()
    numbers, insert = count(1), redeeming.insert_rows

    def redeem(user: User) -> bool:
        seen.code = looked_at(code)
        everybody_looked.wait()
        return bool(redeeming.redeem(code=code, user=user, at=NOON))

    def insert_unguarded(batch: Any, model: Any, columns: Any, rows: Any, **more: Any) -> Any:
        rows = [(row[0], next(numbers), *row[2:]) for row in rows] if model is Redemption else rows
        return insert(batch, model, columns, rows, **more)

    monkeypatch.setattr(redeeming, "code_in", lambda _asked: seen.code)
    monkeypatch.setattr(redeeming, "insert_rows", insert_unguarded)
    credited = race(redeem, users)

    assert credited == racers > uses
    assert sum(balance_of(user) for user in users) == racers * QUOTA
    assert broken_invariants() == ["I5"]


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer: its transactions are the lock"
)
def test_control_without_the_accounts_lock_one_person_is_paid_more_than_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a batch for newcomers: nobody waits for anybody, so all look before the first one has written."""
    codes, user = iter(make_codes(quota=QUOTA, count=8, is_once_per_user=True)), make_user()
    everybody_looked, obstacle = Barrier(8), redeeming._personal_obstacle

    def read_without_lock(batch: Any, account_id: int) -> Any:
        return batch.execute(
            f"SELECT user_id, balance FROM billing_quotaaccount WHERE user_id = {account_id}"
        )

    def look_with_all(*what: Any) -> str:
        found = obstacle(*what)
        everybody_looked.wait(20)
        return found

    monkeypatch.setattr(redeeming.ledger, "lock_account", read_without_lock)
    monkeypatch.setattr(redeeming, "_personal_obstacle", look_with_all)

    assert race(redeemer(codes), [user] * 8) == 8
    assert credits() == 8
    assert balance_of(user) < 8 * QUOTA, "and credits are lost as well"


def test_a_code_that_is_disabled_while_people_redeem_it_adds_up() -> None:
    """Whoever comes first: what was redeemed before counts, and nothing is redeemed afterwards."""
    code, users = make_code(quota=QUOTA, uses_per_code=RACERS), [make_user() for _ in range(RACERS)]
    stored, operator = RedemptionCode.objects.get(), users[7]

    def redeem_or_disable(user: User) -> bool:
        if user == operator:
            set_code_status(actor=None, code=stored, is_enabled=False)
            return False
        return redeemer(repeat(code))(user)

    credited = race(redeem_or_disable, users)

    stored.refresh_from_db()
    assert (stored.status, stored.used_count) == ("disabled", credited)
    assert credits() == credited == sum(balance_of(user) for user in users) // QUOTA
    assert queries.batches().get().unused_uses == 0
    assert broken_invariants() == []


def test_nothing_is_redeemed_once_a_batch_is_revoked_not_even_by_who_waited_for_the_code() -> None:
    code, holder, waiting = make_code(uses_per_code=10), make_user(), make_user()
    [batch] = queries.batches()
    root = make_root()
    digests = code_digests(code_format.read(code))
    if connection.vendor == "sqlite":
        batches.revoke_batch(actor=root, batch=batch)
        assert not race(redeemer(repeat(code)), [holder, waiting])
        return
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            assert code_in(ask_for_code(Statements(), digests))
            late = pool.submit(race, redeemer(repeat(code)), [waiting])
            wait_until(somebody_waits_for_a_lock)
            with ThreadPoolExecutor(1) as other:
                other.submit(in_thread, lambda: batches.revoke_batch(actor=root, batch=batch)).result()
        assert late.result() == 0
    assert credits() == 0


def in_thread(act: Callable[[], None]) -> None:
    try:
        act()
    finally:
        connection.close()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() != (0,)
