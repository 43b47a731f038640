"""Refunds: a call's charge, or a part of it, is given back by an entry that names the call."""

from datetime import datetime

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import EntryKind, LedgerEntry, UsageRecord, WebhookEvent
from billing.services import ledger, webhooks
from billing.services.accounts import lock_account
from billing.services.reversals import check_may_correct
from oneapi_admin.lib.errors import DomainError


class NothingChargedError(DomainError):
    code = "nothing_charged"
    http_status = 409
    message = _("This call was not charged.")


class RefundTooLargeError(DomainError):
    code = "refund_too_large"
    http_status = 422
    message = _(
        "At most %(left)s quota units of this call can be refunded: %(charged)s were charged and %(refunded)s"
        " refunded before."
    )


def refund(
    *,
    actor: User,
    call: UsageRecord,
    quota: int | None = None,
    memo: str,
    idempotency_key: str | None = None,
    at: datetime,
) -> LedgerEntry:
    """Give back what a call was charged, or a part of it; all refunds of a call never exceed its charge.

    What was used stays counted as used: tokens, channels and sums are about calls, the balance about money.

    :param quota: units; None for all that was not refunded before
    :raises NothingChargedError: if there is nothing to give back
    :raises RefundTooLargeError: if it is not more than 0, or more than is left to refund
    :raises PermissionDeniedError: if the actor may not change this person's quota
    """
    user = call.account.user
    check_may_correct(actor=actor, user=user)
    with transaction.atomic():
        lock_account(user=user)
        known = ledger.find_replay(idempotency_key)
        if known is not None:
            is_same = known.kind == EntryKind.REFUND and known.reference == call.request_id
            if not is_same or quota not in (None, known.amount):
                raise ledger.IdempotencyKeyReusedError
            return known
        posting = ledger.Posting(
            account_id=user.pk,
            kind=EntryKind.REFUND,
            amount=refund_amount(call=call, quota=quota),
            actor_id=actor.pk,
            memo=memo,
            reference=call.request_id,
            idempotency_key=idempotency_key,
        )
        entry = ledger.post(postings=[posting], at=at)[0]
        webhooks.emit_movement(
            event=WebhookEvent.REFUND_CREATED, entry=entry, user=user, request_id=call.request_id
        )
    return entry


def refunded(call: UsageRecord) -> int:
    """What of a call's charge was given back, reversed refunds taken off."""
    entries = LedgerEntry.objects.filter(
        account_id=call.account_id,
        reference=call.request_id,
        kind__in=(EntryKind.REFUND, EntryKind.REVERSAL),
    )
    total: int = entries.aggregate(total=Sum("amount", default=0))["total"]
    return total


def refund_amount(*, call: UsageRecord, quota: int | None) -> int:
    """How much a refund would give back.

    :raises NothingChargedError: if there is nothing to give back
    :raises RefundTooLargeError: if it is not more than 0, or more than is left to refund
    """
    if call.quota == 0:
        raise NothingChargedError
    before = refunded(call)
    left = call.quota - before
    amount = left if quota is None else quota
    if not 0 < amount <= left:
        raise RefundTooLargeError(left=left, charged=call.quota, refunded=before)
    return amount
