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
from redemption.models import Redemption
from redemption.services import redeeming
from redemption.services.locked_codes import LockedCode, ask_for_code, code_in
from redemption.services.secrets import code_digests
from tests.factories import NOON, balance_of, make_code, make_codes, make_user

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


def test_control_without_the_accounts_lock_one_person_is_paid_more_than_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a batch for newcomers: all of a person's redemptions look whether there was one before the first is
    written, when nothing makes them wait for each other."""
    first, *others = make_codes(quota=QUOTA, count=9, is_once_per_user=True)
    codes, user = iter(others), make_user()
    everybody_looked, obstacle = Barrier(8), redeeming._personal_obstacle
    monkeypatch.setattr(redeeming, "_personal_obstacle", lambda *_args: "")

    def redeem(user: User) -> bool:
        code = looked_at(first)
        with transaction.atomic():
            found = obstacle(Statements(), code, user)
        everybody_looked.wait()
        return not found and redeemer(codes)(user)

    assert race(redeem, [user] * 8) == 8
