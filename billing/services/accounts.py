"""People with their quota accounts: creating, topping up, reading what is left."""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services import users as people
from accounts.services.permissions import check_may_manage
from billing.models import EntryKind, LedgerEntry, QuotaAccount, WebhookEvent
from billing.services import ledger, webhooks
from billing.services.approval_settings import approval_threshold
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA, format_usd


class InvalidAmountError(DomainError):
    code = "invalid_amount"
    http_status = 422
    message = _("The amount must be more than 0 and at most %(max)s quota units.")


class InvalidAdjustmentError(DomainError):
    code = "invalid_amount"
    http_status = 422
    message = _("An adjustment is not 0 and at most %(max)s quota units up or down.")


class ApprovalRequiredError(DomainError):
    code = "approval_required"
    http_status = 409
    message = _("More than %(amount)s needs the approval of another operator.")
    remedy = _("Create the person without quota, and top them up afterwards.")


class QuotaHeldError(DomainError):
    code = "quota_held"
    http_status = 409
    message = _(
        "This would leave less than calls in progress hold: the balance is %(balance)s quota units,"
        " of which %(held)s are held."
    )
    remedy = _("Take less, or wait until the calls are over.")


def create_user(*, actor: User | None, at: datetime, quota: int = 0, **person: Any) -> User:
    """Create a person with an account, and top it up when ``quota`` is given.

    :param person: what ``accounts.services.users.create_user`` takes
    :raises ApprovalRequiredError: if that is more than an operator may give alone
    """
    if actor is not None and quota:
        _check_needs_no_approval(quota)
    with transaction.atomic():
        user = people.create_user(actor=actor, **person)
        QuotaAccount.objects.create(user=user)
        if quota:
            _post_top_up(actor=actor, user=user, quota=quota, memo="", idempotency_key=None, at=at)
    return user


def open_account(*, user: User) -> QuotaAccount:
    """Make sure a person has an account; those who signed up by themselves get theirs here."""
    account, _created = QuotaAccount.objects.get_or_create(user=user)
    return account


def lock_account(*, user: User) -> QuotaAccount:
    """Take the account's lock until the end of the caller's transaction: the first lock of any movement."""
    open_account(user=user)
    return QuotaAccount.objects.select_for_update().get(user=user)


def top_up(
    *, actor: User, user: User, quota: int, memo: str = "", idempotency_key: str | None = None, at: datetime
) -> LedgerEntry:
    """Give a person quota.

    :param quota: units, 500,000 to the dollar; 1 to 2^53 − 1
    :raises InvalidAmountError: if it is outside that range
    :raises PermissionDeniedError: if the actor may not top this person up
    """
    check_may_manage(actor=actor, user=user)
    with transaction.atomic():
        open_account(user=user)
        return _post_top_up(
            actor=actor, user=user, quota=quota, memo=memo, idempotency_key=idempotency_key, at=at
        )


def adjust(
    *, actor: User, user: User, quota: int, memo: str, idempotency_key: str | None = None, at: datetime
) -> LedgerEntry:
    """Correct a person's quota.

    :param quota: units to add, negative to take; never so many that the balance falls below what calls hold
    :raises InvalidAdjustmentError: if it is 0 or beyond ±(2^53 − 1)
    :raises QuotaHeldError: if less would be left than calls in flight hold
    :raises PermissionDeniedError: if the actor may not change this person's quota
    """
    check_may_manage(actor=actor, user=user)
    if quota == 0 or abs(quota) > MAX_QUOTA:
        raise InvalidAdjustmentError(max=MAX_QUOTA)
    posting = ledger.Posting(
        account_id=user.pk,
        kind=EntryKind.ADJUSTMENT,
        amount=quota,
        actor_id=actor.pk,
        memo=memo,
        idempotency_key=idempotency_key,
    )
    with transaction.atomic():
        account = lock_account(user=user)
        is_replay = ledger.find_replay(idempotency_key) is not None
        if quota < 0 and account.balance + quota < account.held and not is_replay:
            raise QuotaHeldError(balance=account.balance, held=account.held)
        entry = ledger.post(postings=[posting], at=at)[0]
        webhooks.emit_movement(event=WebhookEvent.TOPUP_CREATED, entry=entry, user=user)
    return entry


def _check_needs_no_approval(quota: int) -> None:
    threshold = approval_threshold()
    if threshold is not None and quota > threshold:
        raise ApprovalRequiredError(amount=format_usd(threshold))


def _post_top_up(
    *, actor: User | None, user: User, quota: int, memo: str, idempotency_key: str | None, at: datetime
) -> LedgerEntry:
    if not 0 < quota <= MAX_QUOTA:
        raise InvalidAmountError(max=MAX_QUOTA)
    posting = ledger.Posting(
        account_id=user.pk,
        kind=EntryKind.TOP_UP,
        amount=quota,
        actor_id=actor.pk if actor else None,
        memo=memo,
        idempotency_key=idempotency_key,
    )
    entry = ledger.post(postings=[posting], at=at)[0]
    webhooks.emit_movement(event=WebhookEvent.TOPUP_CREATED, entry=entry, user=user)
    return entry
