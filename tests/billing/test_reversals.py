"""Entries are taken back by others that name them."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User, UserStatus
from accounts.services.permissions import PermissionDeniedError
from billing.models import EntryKind, LedgerEntry, QuotaAccount, WebhookDelivery
from billing.services import accounts, ledger, refunds, reversals
from billing.services.audit import audit_ledger
from billing.services.calls import admit, settle
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption.services.redeeming import redeem
from tests.factories import (
    NOON,
    admit_request,
    balance_of,
    make_admin,
    make_channel,
    make_code,
    make_root,
    make_token,
    make_user,
    make_webhook,
    settlement,
)

pytestmark = pytest.mark.django_db


def reverse(entry: LedgerEntry, actor: User | None = None, **fields: Any) -> LedgerEntry:
    return reversals.reverse(
        **{"actor": actor or make_admin(), "entry": entry, "memo": "a mistake", "at": NOON, **fields}
    )


def top_up(user: User, quota: int) -> LedgerEntry:
    return accounts.top_up(actor=make_root(), user=user, quota=quota, at=NOON)


def spend(user: User, quota: int) -> None:
    settle(settlements=[settlement(make_token(user), make_channel(), quota=quota)], at=NOON)


def hold(user: User, quota: int) -> None:
    admit(requests=[admit_request(make_token(user), estimate=quota)], at=NOON)


def broken() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


@pytest.mark.parametrize("quota", [100, MAX_QUOTA])
def test_a_reversed_top_up_is_gone_and_both_entries_stay(quota: int) -> None:
    user = make_user()
    entry = top_up(user, quota)

    back = reverse(entry)

    assert (back.kind, back.amount, back.reverses_id, back.memo) == (
        EntryKind.REVERSAL,
        -quota,
        entry.pk,
        "a mistake",
    )
    assert back.shortfall == 0
    assert balance_of(user) == 0
    assert LedgerEntry.objects.get(pk=entry.pk).amount == quota


def test_a_reversed_negative_adjustment_is_given_back() -> None:
    user = make_user(balance=100)
    taken = accounts.adjust(actor=make_root(), user=user, quota=-70, memo="m", at=NOON)

    back = reverse(taken)

    assert (back.amount, balance_of(user)) == (70, 100)


@pytest.mark.django_db(transaction=True)
def test_what_a_code_gave_is_taken_back_as_far_as_it_is_there() -> None:
    user = make_user()
    whole, part = (redeem(code=make_code(quota=300), user=user, at=NOON) for _ in range(2))
    spend(user, 100)

    back = reverse(whole)
    rest = reverse(part, allow_partial=True)

    assert (back.amount, back.reference) == (-300, whole.reference)
    assert (rest.amount, rest.shortfall) == (-200, 100)
    assert balance_of(user) == 0
    assert broken() == []


def test_an_entry_is_reversed_once() -> None:
    user = make_user(balance=500)
    entry = top_up(user, 100)
    first = reverse(entry)

    with pytest.raises(reversals.AlreadyReversedError, match=f"by entry {first.pk}"):
        reverse(entry)

    assert balance_of(user) == 500


def test_the_database_itself_refuses_a_second_reversal_and_one_of_nothing() -> None:
    user = make_user(balance=500)
    entry = top_up(user, 100)
    reverse(entry)

    for reverses_id in (entry.pk, None):
        posting = ledger.Posting(
            account_id=user.pk, kind=EntryKind.REVERSAL, amount=-1, reverses_id=reverses_id
        )
        with pytest.raises(IntegrityError), transaction.atomic():
            ledger.post(postings=[posting], at=NOON)


def test_a_replay_gets_the_first_reversal_and_another_entry_needs_another_key() -> None:
    user, admin = make_user(), make_admin()
    one, two = top_up(user, 100), top_up(user, 50)

    first = reverse(one, admin, idempotency_key="k")
    again = reverse(one, admin, idempotency_key="k")

    assert again.pk == first.pk
    assert again.is_replay
    with pytest.raises(ledger.IdempotencyKeyReusedError):
        reverse(two, admin, idempotency_key="k")
    assert balance_of(user) == 50


def test_what_is_spent_or_held_is_not_taken_and_the_error_says_how_much_is_left() -> None:
    user = make_user()
    entry = top_up(user, 100)
    spend(user, 20)
    hold(user, 30)

    with pytest.raises(reversals.QuotaSpentError) as refused:
        reverse(entry)

    assert str(refused.value) == (
        "Of 100 quota units only 50 can be taken back: the balance is 80, of which 30 are held by calls in progress."
    )
    assert balance_of(user) == 80


@pytest.mark.django_db(transaction=True)
def test_a_partial_reversal_takes_what_is_left_and_says_what_is_missing() -> None:
    user = make_user()
    entry = top_up(user, 100)
    spend(user, 20)
    hold(user, 30)

    back = reverse(entry, allow_partial=True)

    account = QuotaAccount.objects.get(user=user)
    assert (back.amount, back.shortfall) == (-50, 50)
    assert (account.balance, account.held) == (30, 30)
    with pytest.raises(reversals.AlreadyReversedError):
        reverse(entry, allow_partial=True)
    assert broken() == []


def test_a_partial_reversal_sent_again_is_the_same_though_less_is_left_now() -> None:
    user, admin = make_user(), make_admin()
    entry = top_up(user, 100)
    spend(user, 20)

    first = reverse(entry, admin, allow_partial=True, idempotency_key="k")

    assert reverse(entry, admin, allow_partial=True, idempotency_key="k").pk == first.pk


def test_where_nothing_is_left_there_is_nothing_to_take_even_in_part() -> None:
    user = make_user()
    entry = top_up(user, 100)
    spend(user, 130)

    with pytest.raises(reversals.QuotaSpentError, match="only 0 can be taken back"):
        reverse(entry, allow_partial=True)


def test_giving_back_never_passes_the_largest_balance() -> None:
    user = make_user(balance=100)
    taken = accounts.adjust(actor=make_root(), user=user, quota=-100, memo="m", at=NOON)
    top_up(user, MAX_QUOTA)

    with pytest.raises(ledger.QuotaTooLargeError):
        reverse(taken)


@pytest.mark.django_db(transaction=True)
def test_calls_and_reversals_are_not_reversed_and_the_error_says_what_to_do_instead() -> None:
    user = make_user(balance=1_000)
    spend(user, 10)
    reversal = reverse(top_up(user, 5))

    for entry, remedy in (
        (LedgerEntry.objects.get(kind=EntryKind.USAGE), "Refund the calls, each by itself."),
        (reversal, "Make a new movement, such as a top-up or an adjustment."),
    ):
        with pytest.raises(reversals.NotReversibleError) as refused:
            reverse(entry)
        assert refused.value.remedy_text == remedy
    assert broken() == []


def test_nobody_reverses_for_people_whom_they_may_not_top_up() -> None:
    root, admin = make_root(balance=5), make_admin(balance=5)
    ann = make_user(balance=5)

    for actor, owner in ((admin, root), (admin, make_admin(balance=5)), (admin, admin), (ann, ann)):
        with pytest.raises(PermissionDeniedError):
            reverse(LedgerEntry.objects.get(account=owner.pk), actor)


def test_disabled_people_are_corrected_and_deleted_ones_are_left_alone() -> None:
    disabled, deleted = make_user(balance=5), make_user(balance=5)
    User.objects.filter(pk=disabled.pk).update(status=UserStatus.DISABLED)
    User.objects.filter(pk=deleted.pk).update(status=UserStatus.DELETED)

    reverse(LedgerEntry.objects.get(account=disabled.pk))

    assert balance_of(disabled) == 0
    with pytest.raises(reversals.UserDeletedError):
        reverse(LedgerEntry.objects.get(account=deleted.pk))


def test_webhooks_are_told_once_of_a_reversal_and_what_it_reversed() -> None:
    user, admin = make_user(), make_admin()
    entry = top_up(user, 100)
    spend(user, 40)
    make_webhook(events=["reversal.created", "refund.created"])

    for _ in range(2):
        reverse(entry, admin, allow_partial=True, idempotency_key="k")

    told = WebhookDelivery.objects.get().payload
    assert told["event"] == "reversal.created"
    assert (told["data"]["amount"], told["data"]["reverses_id"], told["data"]["shortfall"]) == (
        -60,
        entry.pk,
        40,
    )


def test_several_entries_of_one_person_take_from_what_the_ones_before_have_left() -> None:
    user, admin = make_user(), make_admin()
    entries = [top_up(user, 100), top_up(user, 100)]
    spend(user, 30)

    looked = reversals.preview(actor=admin, entries=entries)
    done = reversals.reverse_all(actor=admin, entries=entries, memo="m", allow_partial=True, at=NOON)

    assert [(plan.amount, plan.shortfall) for plan in looked] == [(-100, 0), (-70, 30)]
    assert [entry.amount for entry in done if isinstance(entry, LedgerEntry)] == [-100, -70]
    assert balance_of(user) == 0


@pytest.mark.django_db(transaction=True)
def test_a_reversed_refund_can_be_refunded_again() -> None:
    user = make_user(balance=100)
    spend(user, 60)
    [call] = user.quota_account.usage_records.all()
    first = refunds.refund(actor=make_admin(), call=call, memo="m", at=NOON)

    reverse(first)
    left_after = refunds.refunded(call)
    refunds.refund(actor=make_admin(), call=call, quota=60, memo="m", at=NOON)

    assert left_after == 0
    assert balance_of(user) == 100
    assert broken() == []
