"""Giving people quota."""

import pytest

from accounts.models import User, UserStatus
from accounts.services.permissions import PermissionDeniedError
from accounts.services.users import UsernameTakenError
from billing.models import LedgerEntry, QuotaAccount
from billing.services import accounts
from billing.services.accounts import InvalidAmountError
from billing.services.ledger import IdempotencyKeyReusedError, QuotaTooLargeError
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import NOON, balance_of, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_top_up_is_an_entry_that_names_the_operator_and_the_reason() -> None:
    admin, user = make_admin(), make_user()

    entry = accounts.top_up(actor=admin, user=user, quota=500_000, memo="paid in cash", at=NOON)

    assert balance_of(user) == 500_000
    assert (entry.kind, entry.actor_id, entry.memo, entry.created_at) == (
        "top_up",
        admin.pk,
        "paid in cash",
        NOON,
    )


@pytest.mark.parametrize("quota", [0, -1, -MAX_QUOTA, MAX_QUOTA + 1, 2**70])
def test_an_amount_outside_one_to_the_largest_is_refused(quota: int) -> None:
    user = make_user(balance=7)

    with pytest.raises(InvalidAmountError, match=str(MAX_QUOTA)):
        accounts.top_up(actor=make_root(), user=user, quota=quota, at=NOON)

    assert balance_of(user) == 7


def test_the_largest_amount_fits_an_empty_account_and_no_other() -> None:
    root, empty, other = make_root(), make_user(), make_user(balance=1)

    accounts.top_up(actor=root, user=empty, quota=MAX_QUOTA, at=NOON)

    assert balance_of(empty) == MAX_QUOTA
    with pytest.raises(QuotaTooLargeError):
        accounts.top_up(actor=root, user=other, quota=MAX_QUOTA, at=NOON)
    assert balance_of(other) == 1


@pytest.mark.parametrize("make_person", [make_root, make_admin])
def test_an_administrator_may_not_top_up_operators(make_person) -> None:
    person = make_person()

    with pytest.raises(PermissionDeniedError):
        accounts.top_up(actor=make_admin(), user=person, quota=5, at=NOON)

    assert balance_of(person) == 0


def test_an_administrator_may_not_top_up_themselves() -> None:
    admin = make_admin()

    with pytest.raises(PermissionDeniedError):
        accounts.top_up(actor=admin, user=admin, quota=5, at=NOON)


def test_an_ordinary_user_may_top_up_nobody() -> None:
    user, other = make_user(), make_user()

    for target in (user, other):
        with pytest.raises(PermissionDeniedError):
            accounts.top_up(actor=user, user=target, quota=5, at=NOON)

    assert (balance_of(user), balance_of(other)) == (0, 0)


@pytest.mark.parametrize("make_person", [make_root, make_admin, make_user])
def test_root_may_top_up_everyone(make_person) -> None:
    person = make_person()

    accounts.top_up(actor=make_root(), user=person, quota=5, at=NOON)

    assert balance_of(person) == 5


def test_root_may_top_up_themselves() -> None:
    root = make_root()

    accounts.top_up(actor=root, user=root, quota=5, at=NOON)

    assert balance_of(root) == 5


def test_a_deleted_person_gets_nothing_and_a_disabled_one_does() -> None:
    root, deleted, disabled = make_root(), make_user(), make_user()
    User.objects.filter(pk=deleted.pk).update(status=UserStatus.DELETED)
    User.objects.filter(pk=disabled.pk).update(status=UserStatus.DISABLED)

    accounts.top_up(actor=root, user=disabled, quota=5, at=NOON)

    with pytest.raises(PermissionDeniedError):
        accounts.top_up(actor=root, user=deleted, quota=5, at=NOON)
    assert (balance_of(disabled), balance_of(deleted)) == (5, 0)


def test_a_repeated_top_up_of_one_key_is_made_once() -> None:
    root, user = make_root(), make_user()

    entries = [
        accounts.top_up(actor=root, user=user, quota=5, idempotency_key="form-1", at=NOON) for _ in range(2)
    ]

    assert entries[0].pk == entries[1].pk
    assert balance_of(user) == 5
    with pytest.raises(IdempotencyKeyReusedError):
        accounts.top_up(actor=root, user=user, quota=6, idempotency_key="form-1", at=NOON)


def test_whoever_signed_up_without_an_account_gets_one_with_the_first_top_up() -> None:
    user = User.objects.create(username="signed-up")

    accounts.top_up(actor=make_root(), user=user, quota=5, at=NOON)

    assert balance_of(user) == 5


def test_opening_an_account_twice_changes_nothing() -> None:
    user = make_user(balance=5)

    account = accounts.open_account(user=user)

    assert account.balance == 5
    assert QuotaAccount.objects.filter(user=user).count() == 1


def test_a_new_person_starts_with_an_account_and_no_entry() -> None:
    user = make_user()

    assert balance_of(user) == 0
    assert not LedgerEntry.objects.exists()


def test_a_new_person_may_start_with_quota_that_the_ledger_knows() -> None:
    root = make_root()

    user = accounts.create_user(actor=root, username="ada", password="p", quota=9, at=NOON)

    entry = LedgerEntry.objects.get()
    assert (entry.account_id, entry.amount, entry.actor_id) == (user.pk, 9, root.pk)


@pytest.mark.parametrize("quota", [-1, MAX_QUOTA + 1])
def test_a_person_whose_quota_is_refused_is_not_created(quota: int) -> None:
    with pytest.raises(InvalidAmountError):
        accounts.create_user(actor=make_root(), username="ada", password="p", quota=quota, at=NOON)

    assert not User.objects.filter(username="ada").exists()


def test_a_person_who_is_refused_gets_no_account() -> None:
    make_user(username="ada")

    with pytest.raises(UsernameTakenError):
        accounts.create_user(actor=make_root(), username="ADA", password="p", quota=5, at=NOON)

    assert QuotaAccount.objects.count() == 2
    assert not LedgerEntry.objects.exists()
