"""Calls are refunded, whole or in part, and never more than they cost."""

import pytest

from accounts.models import User, UserStatus
from accounts.services.permissions import PermissionDeniedError
from billing.models import (
    EntryKind,
    LedgerEntry,
    QuotaAccount,
    TokenQuota,
    UsageDaily,
    UsageRecord,
    WebhookDelivery,
)
from billing.services import ledger, refunds, reversals
from billing.services.audit import audit_ledger
from billing.services.calls import settle
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import (
    NOON,
    balance_of,
    make_admin,
    make_channel,
    make_root,
    make_token,
    make_user,
    make_webhook,
    settlement,
)

pytestmark = pytest.mark.django_db


def make_call(user: User, quota: int = 60) -> UsageRecord:
    call = settlement(make_token(user), make_channel(), quota=quota)
    settle(settlements=[call], at=NOON)
    return UsageRecord.objects.get(request_id=call.request_id)


def refund(
    call: UsageRecord, quota: int | None = None, actor: User | None = None, key: str | None = None
) -> LedgerEntry:
    return refunds.refund(
        actor=actor or make_admin(), call=call, quota=quota, memo="it hung", idempotency_key=key, at=NOON
    )


@pytest.mark.django_db(transaction=True)
def test_a_refunded_call_gives_its_price_back_and_stays_used() -> None:
    user = make_user(balance=100)
    call = make_call(user)

    entry = refund(call)

    account = QuotaAccount.objects.get(user=user)
    assert (entry.kind, entry.amount, entry.reference, entry.memo) == (
        EntryKind.REFUND,
        60,
        call.request_id,
        "it hung",
    )
    assert (account.balance, account.used_quota, account.request_count) == (100, 60, 1)
    assert (TokenQuota.objects.get().used_quota, UsageDaily.objects.get().quota) == (60, 60)
    assert [check.code for check in audit_ledger() if check.broken] == []


def test_parts_are_refunded_until_the_price_is_given_back() -> None:
    user = make_user(balance=100)
    call = make_call(user)
    refund(call, 20)
    refund(call, 1)

    with pytest.raises(
        refunds.RefundTooLargeError, match=r"At most 39 quota units .* 60 were charged and 21 refunded"
    ):
        refund(call, 40)
    rest = refund(call)

    assert (rest.amount, balance_of(user)) == (39, 100)
    with pytest.raises(refunds.RefundTooLargeError):
        refund(call)


@pytest.mark.parametrize("quota", [0, -1, 61, MAX_QUOTA, 2**70, -(2**70)])
def test_amounts_that_make_no_sense_are_refused(quota: int) -> None:
    user = make_user(balance=100)
    call = make_call(user)

    with pytest.raises(refunds.RefundTooLargeError):
        refund(call, quota)

    assert balance_of(user) == 40


def test_a_call_that_was_free_has_nothing_to_refund() -> None:
    call = make_call(make_user(), 0)

    with pytest.raises(refunds.NothingChargedError):
        refund(call)


def test_a_replay_is_the_first_refund_and_its_key_stands_for_nothing_else() -> None:
    user, admin = make_user(balance=200), make_admin()
    call, other = make_call(user), make_call(user)

    first = refund(call, 60, admin, "k")

    assert refund(call, 60, admin, "k").pk == first.pk
    assert refund(call, None, admin, "k").pk == first.pk
    for wanted, quota in ((call, 59), (other, 60)):
        with pytest.raises(ledger.IdempotencyKeyReusedError):
            refund(wanted, quota, admin, "k")
    assert balance_of(user) == 140


def test_refunds_are_for_those_who_may_top_the_person_up() -> None:
    root, admin, ann = make_root(balance=100), make_admin(balance=100), make_user(balance=100)

    for actor, owner in ((admin, root), (admin, admin), (ann, ann)):
        call = make_call(owner)
        with pytest.raises(PermissionDeniedError):
            refund(call, actor=actor)


def test_a_deleted_persons_calls_are_not_refunded() -> None:
    user = make_user(balance=100)
    call = make_call(user)
    User.objects.filter(pk=user.pk).update(status=UserStatus.DELETED)

    with pytest.raises(reversals.UserDeletedError):
        refund(UsageRecord.objects.get(pk=call.pk))


def test_webhooks_are_told_of_a_refund_and_of_which_call() -> None:
    make_webhook()
    call = make_call(make_user(balance=100))
    WebhookDelivery.objects.all().delete()

    refund(call)

    told = WebhookDelivery.objects.get(event="refund.created").payload["data"]
    assert (told["amount"], told["request_id"]) == (60, call.request_id)
