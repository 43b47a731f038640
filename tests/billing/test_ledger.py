"""The only way in which a balance changes."""

import pytest
from django.db import DatabaseError, transaction

from accounts.models import User
from billing.models import EntryKind, LedgerEntry
from billing.services import ledger
from billing.services.audit import audit_ledger
from billing.services.ledger import (
    IdempotencyKeyReusedError,
    Posting,
    QuotaTooLargeError,
    UnknownAccountError,
)
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import NOON, balance_of, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def posting(user: User, amount: int, **fields) -> Posting:
    return Posting(**{"account_id": user.pk, "kind": EntryKind.GRANT, "amount": amount, **fields})


def post(*postings: Posting) -> list[LedgerEntry]:
    with transaction.atomic():
        return ledger.post(postings=postings, at=NOON)


def broken_invariants() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_each_entry_carries_the_balance_after_it() -> None:
    user = make_user()

    for amount in (100, -30, 5):
        post(posting(user, amount))

    entries = LedgerEntry.objects.filter(account_id=user.pk).order_by("pk")
    assert [(entry.amount, entry.balance_after) for entry in entries] == [(100, 100), (-30, 70), (5, 75)]
    assert balance_of(user) == 75
    assert broken_invariants() == []


def test_several_movements_of_one_account_chain_within_their_batch() -> None:
    user, other = make_user(balance=10), make_user()

    entries = post(posting(user, 5), posting(other, 7), posting(user, -3), posting(other, 1))

    assert [(entry.account_id, entry.balance_after) for entry in entries] == [
        (user.pk, 15),
        (other.pk, 7),
        (user.pk, 12),
        (other.pk, 8),
    ]
    assert [entry.pk for entry in entries] == sorted(entry.pk for entry in entries)
    assert (balance_of(user), balance_of(other)) == (12, 8)
    assert broken_invariants() == []


def test_an_entry_keeps_who_what_why_and_when() -> None:
    user, actor = make_user(), make_user()

    [entry] = post(
        posting(
            user,
            5,
            actor_id=actor.pk,
            memo="额度 💥",
            reference="code:7",
            idempotency_key="k",
            kind=EntryKind.REFUND,
        )
    )

    stored = LedgerEntry.objects.get(pk=entry.pk)
    assert (stored.actor_id, stored.memo, stored.reference) == (actor.pk, "额度 💥", "code:7")
    assert (stored.idempotency_key, stored.kind, stored.created_at) == ("k", "refund", NOON)


def test_a_repeated_key_gives_back_the_first_entry_and_moves_nothing() -> None:
    user = make_user()
    again = posting(user, 50, idempotency_key="payment-1")

    first, second = post(again), post(again)

    assert first[0].pk == second[0].pk
    assert second[0].balance_after == 50
    assert balance_of(user) == 50
    assert LedgerEntry.objects.count() == 1


def test_a_replay_beside_new_movements_writes_only_the_new_ones() -> None:
    user = make_user()
    [first] = post(posting(user, 50, idempotency_key="payment-1"))

    entries = post(posting(user, 1), posting(user, 50, idempotency_key="payment-1"), posting(user, 2))

    assert [entry.balance_after for entry in entries] == [51, 50, 53]
    assert entries[1].pk == first.pk
    assert balance_of(user) == 53
    assert broken_invariants() == []


@pytest.mark.parametrize("change", [{"amount": 51}, {"amount": -50}, {"kind": EntryKind.ADJUSTMENT}])
def test_a_key_of_another_movement_is_refused_and_nothing_is_written(change) -> None:
    user = make_user()
    post(posting(user, 50, idempotency_key="payment-1"))

    with pytest.raises(IdempotencyKeyReusedError):
        post(posting(user, 9), posting(user, **{"amount": 50, "idempotency_key": "payment-1", **change}))

    assert balance_of(user) == 50
    assert LedgerEntry.objects.count() == 1


def test_a_key_of_another_account_is_refused_and_nothing_is_written() -> None:
    user, other = make_user(), make_user()
    post(posting(user, 50, idempotency_key="payment-1"))

    with pytest.raises(IdempotencyKeyReusedError):
        post(posting(other, 50, idempotency_key="payment-1"))

    assert (balance_of(user), balance_of(other)) == (50, 0)


def test_a_key_twice_in_one_batch_is_refused_and_nothing_is_written() -> None:
    user = make_user()

    with pytest.raises(IdempotencyKeyReusedError):
        post(posting(user, 5, idempotency_key="k"), posting(user, 5, idempotency_key="k"))

    assert balance_of(user) == 0
    assert LedgerEntry.objects.count() == 0


def test_movements_without_a_key_are_each_their_own() -> None:
    user = make_user()

    post(posting(user, 5), posting(user, 5))
    post(posting(user, 5))

    assert balance_of(user) == 15


def test_an_unknown_account_stops_the_whole_batch() -> None:
    user = make_user()

    with pytest.raises(UnknownAccountError) as refusal:
        post(posting(user, 5), posting(user, 5, account_id=987_654))

    assert "987654" in str(refusal.value)
    assert balance_of(user) == 0
    assert LedgerEntry.objects.count() == 0


def test_the_largest_balance_is_two_to_the_53_less_one_in_both_directions() -> None:
    user, debtor = make_user(), make_user()

    post(posting(user, MAX_QUOTA), posting(debtor, -MAX_QUOTA))

    assert (balance_of(user), balance_of(debtor)) == (MAX_QUOTA, -MAX_QUOTA)
    assert broken_invariants() == []


@pytest.mark.parametrize(
    "amounts", [[MAX_QUOTA + 1], [-MAX_QUOTA - 1], [MAX_QUOTA, 1], [-MAX_QUOTA, -1], [2**70]]
)
def test_what_passes_it_is_refused_and_nothing_is_written(amounts: list[int]) -> None:
    user = make_user()

    with pytest.raises(QuotaTooLargeError):
        post(*(posting(user, amount) for amount in amounts))

    assert balance_of(user) == 0
    assert LedgerEntry.objects.count() == 0


def test_a_movement_of_nothing_is_refused_by_the_database() -> None:
    user = make_user()

    with pytest.raises(DatabaseError):
        post(posting(user, 5), posting(user, 0))

    assert balance_of(user) == 0


def test_an_empty_batch_writes_nothing() -> None:
    assert post() == []


def test_a_movement_outside_a_transaction_is_refused() -> None:
    user = make_user()

    with pytest.raises(transaction.TransactionManagementError, match="transaction"):
        ledger.post(postings=[posting(user, 5)], at=NOON)

    assert balance_of(user) == 0


def test_a_movement_falls_with_the_transaction_around_it() -> None:
    user = make_user(balance=3)

    def move_and_fail() -> None:
        with transaction.atomic():
            ledger.post(postings=[posting(user, 5, idempotency_key="k")], at=NOON)
            raise OSError("later step")

    with pytest.raises(OSError, match="later step"):
        move_and_fail()
    [entry] = post(posting(user, 5, idempotency_key="k"))

    assert (entry.balance_after, balance_of(user)) == (8, 8)
