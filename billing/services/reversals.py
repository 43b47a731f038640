"""Reversals: an entry is taken back by another that names it; nothing is edited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User, UserStatus
from accounts.services.permissions import PermissionDeniedError, check_may_manage
from billing.models import EntryKind, LedgerEntry, QuotaAccount, WebhookEvent
from billing.services import ledger, webhooks
from billing.services.accounts import lock_account
from oneapi_admin.lib.errors import DomainError

REVERSIBLE = frozenset(
    {
        EntryKind.TOP_UP,
        EntryKind.REDEMPTION,
        EntryKind.ADJUSTMENT,
        EntryKind.GRANT,
        EntryKind.REFUND,
        EntryKind.EXPIRY,
        EntryKind.IMPORT,
    }
)


class UserDeletedError(DomainError):
    code = "user_deleted"
    http_status = 409
    message = _("This person was deleted; their quota does not move any more.")


class NotReversibleError(DomainError):
    code = "not_reversible"
    http_status = 409


class UsageNotReversibleError(NotReversibleError):
    message = _("This entry charged one or several calls and is not reversed as a whole.")
    remedy = _("Refund the calls, each by itself.")


class ReversalNotReversibleError(NotReversibleError):
    message = _("This entry is a reversal itself, and a reversal is final.")
    remedy = _("Make a new movement, such as a top-up or an adjustment.")


class AlreadyReversedError(DomainError):
    code = "already_reversed"
    http_status = 409
    message = _("This entry was reversed before, by entry %(reversal)s.")


class QuotaSpentError(DomainError):
    code = "quota_spent"
    http_status = 409
    message = _(
        "Of %(amount)s quota units only %(available)s can be taken back: the balance is %(balance)s,"
        " of which %(held)s are held by calls in progress."
    )
    remedy = _("Take back what is left, or wait until calls are over or quota is added.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """What a reversal would do, in quota units, and why it cannot be done as a whole, if it cannot."""

    entry: LedgerEntry
    amount: int
    """Of the reversing entry; 0 where nothing can be done."""
    refusal: DomainError | None

    @property
    def shortfall(self) -> int:
        """What is gone already and could not be taken."""
        is_short = self.refusal is None or isinstance(self.refusal, QuotaSpentError)
        return self.entry.amount + self.amount if is_short else 0

    @property
    def is_possible_in_part(self) -> bool:
        return isinstance(self.refusal, QuotaSpentError) and self.amount != 0


def check_may_correct(*, actor: User, user: User) -> None:
    """
    :raises PermissionDeniedError: if the actor may not change this person's quota
    :raises UserDeletedError: if nobody may any more
    """
    try:
        check_may_manage(actor=actor, user=user)
    except PermissionDeniedError:
        raise _denial(actor, user) from None


def preview(*, actor: User, entries: Sequence[LedgerEntry], allow_partial: bool = True) -> list[Reversal]:
    """What reversing these entries, one after the other, would do now; nothing is written.

    :param entries: with ``account__user``
    :param allow_partial: whether what is left of one is taken, and so gone for those after it
    """
    accounts = QuotaAccount.objects.in_bulk({entry.account_id for entry in entries})
    return _plan(actor, entries, accounts, allow_partial=allow_partial)


def reverse(
    *,
    actor: User,
    entry: LedgerEntry,
    memo: str,
    allow_partial: bool = False,
    idempotency_key: str | None = None,
    at: datetime,
) -> LedgerEntry:
    """Take an entry back by another that names it; at most once, whoever tries at the same time.

    :param allow_partial: take what is left, where not all of it is; the rest is given up for good
    :raises NotReversibleError: if entries of its kind are not reversed
    :raises AlreadyReversedError: if it was reversed before
    :raises QuotaSpentError: if less is available than has to be taken
    :raises PermissionDeniedError: if the actor may not change this person's quota
    """
    check_may_correct(actor=actor, user=entry.account.user)
    with transaction.atomic():
        lock_account(user=entry.account.user)
        known = ledger.find_replay(idempotency_key)
        if known is not None:
            if known.reverses_id != entry.pk:
                raise ledger.IdempotencyKeyReusedError
            return known
        keys = {entry.pk: idempotency_key}
        [result] = reverse_all(
            actor=actor, entries=[entry], memo=memo, allow_partial=allow_partial, keys=keys, at=at
        )
        if isinstance(result, DomainError):
            raise result
    return result


def reverse_all(
    *,
    actor: User,
    entries: Sequence[LedgerEntry],
    memo: str,
    allow_partial: bool,
    keys: Mapping[int, str | None] | None = None,
    at: datetime,
) -> list[LedgerEntry | DomainError]:
    """Reverse what can be reversed, in one transaction; one entry's refusal does not hinder the others.

    :param entries: with ``account__user``
    :param keys: idempotency keys by entry
    :returns: for each entry its reversal, or why it was refused
    """
    with transaction.atomic():
        ids = {entry.account_id for entry in entries}
        locked = QuotaAccount.objects.select_for_update().filter(pk__in=ids).order_by("pk")
        plans = _plan(
            actor, entries, {account.pk: account for account in locked}, allow_partial=allow_partial
        )
        todo = [plan for plan in plans if _is_to_do(plan, allow_partial=allow_partial)]
        postings = [_posting(plan, actor, memo, (keys or {}).get(plan.entry.pk)) for plan in todo]
        written = dict(
            zip((plan.entry.pk for plan in todo), ledger.post(postings=postings, at=at), strict=True)
        )
        for plan in todo:
            webhooks.emit_movement(
                event=WebhookEvent.REVERSAL_CREATED,
                entry=written[plan.entry.pk],
                user=plan.entry.account.user,
                reverses_id=plan.entry.pk,
                shortfall=plan.shortfall,
            )
    return [written.get(plan.entry.pk) or _refusal(plan) for plan in plans]


def _plan(
    actor: User,
    entries: Sequence[LedgerEntry],
    accounts: Mapping[int, QuotaAccount],
    *,
    allow_partial: bool,
) -> list[Reversal]:
    """What becomes of each entry, each taking from what those before it have left."""
    manageable = set(User.objects.manageable_by(actor).filter(pk__in=accounts).values_list("pk", flat=True))
    done = LedgerEntry.objects.filter(reverses__in=[entry.pk for entry in entries])
    reversals = dict(done.values_list("reverses_id", "pk"))
    taken = dict.fromkeys(accounts, 0)
    plans = []
    for entry in entries:
        account = accounts[entry.account_id]
        refusal = _obstacle(entry, reversals, is_manageable=entry.account_id in manageable, actor=actor)
        available = account.available - taken[account.pk]
        plan = (
            Reversal(entry=entry, amount=0, refusal=refusal)
            if refusal
            else _full_or_part(entry, account, available)
        )
        if _is_to_do(plan, allow_partial=allow_partial):
            taken[account.pk] -= plan.amount
        plans.append(plan)
    return plans


def _full_or_part(entry: LedgerEntry, account: QuotaAccount, available: int) -> Reversal:
    if entry.amount <= available or entry.amount < 0:
        return Reversal(entry=entry, amount=-entry.amount, refusal=None)
    left = max(available, 0)
    refusal = QuotaSpentError(
        amount=entry.amount, available=left, balance=account.held + available, held=account.held
    )
    return Reversal(entry=entry, amount=-left, refusal=refusal)


def _obstacle(
    entry: LedgerEntry, reversals: Mapping[int, int], *, is_manageable: bool, actor: User
) -> DomainError | None:
    """Why an entry cannot be reversed at all."""
    if not is_manageable:
        return _denial(actor, entry.account.user)
    if entry.kind not in REVERSIBLE:
        return {
            EntryKind.USAGE: UsageNotReversibleError,
            EntryKind.REVERSAL: ReversalNotReversibleError,
        }[EntryKind(entry.kind)]()
    if entry.pk in reversals:
        return AlreadyReversedError(reversal=reversals[entry.pk])
    return None


def _is_to_do(plan: Reversal, *, allow_partial: bool) -> bool:
    return plan.refusal is None or (allow_partial and plan.is_possible_in_part)


def _refusal(plan: Reversal) -> DomainError:
    if plan.refusal is None:
        raise AssertionError("what is not refused is done")
    return plan.refusal


def _posting(plan: Reversal, actor: User, memo: str, idempotency_key: str | None) -> ledger.Posting:
    return ledger.Posting(
        account_id=plan.entry.account_id,
        kind=EntryKind.REVERSAL,
        amount=plan.amount,
        actor_id=actor.pk,
        memo=memo,
        reference=plan.entry.reference,
        idempotency_key=idempotency_key,
        reverses_id=plan.entry.pk,
    )


def _denial(actor: User, user: User) -> DomainError:
    """Deleted people are named as the reason to those who might have managed them."""
    is_below = actor.is_root or (actor.is_operator and not user.is_operator)
    return UserDeletedError() if is_below and user.status == UserStatus.DELETED else PermissionDeniedError()
