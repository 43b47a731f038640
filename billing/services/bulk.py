"""Many top-ups at once: what can be done is done in one transaction, and each item is told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.services.permissions import PermissionDeniedError
from billing.models import BulkTopUp, EntryKind, LedgerEntry, QuotaAccount, WebhookEvent
from billing.services import ledger, webhooks
from billing.services.accounts import InvalidAmountError
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA


class UnknownUserError(DomainError):
    code = "user_not_found"
    http_status = 404
    message = _("There is no user %(user_id)s that you may see.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """``quota`` in quota units."""

    user_id: int
    quota: int
    memo: str = ""
    idempotency_key: str | None = None


def top_up_many(
    *, actor: User, items: Sequence[TopUp], memo: str = "", at: datetime
) -> list[LedgerEntry | DomainError]:
    """Give many people quota; one item's refusal does not hinder the others.

    What is given is one run, a ``BulkTopUp``, whose reference all its entries have.

    :param memo: of the whole, and of items without one of their own
    :returns: for each item its entry, or why it was refused, in their order
    """
    with transaction.atomic():
        people = _people(actor, {item.user_id for item in items})
        balances = _lock_accounts(people)
        known = _known_keys(items)
        outcomes: list[DomainError | None] = [
            _refusal(actor, item, people, balances, known) for item in items
        ]
        granted = [item for item, refusal in zip(items, outcomes, strict=True) if refusal is None]
        run = _run_of(actor, granted, memo, at)
        postings = [_posting(actor, item, memo, run.reference) for item in granted]
        entries = iter(_posted(run, postings, at) if granted else [])
        results = [refusal or next(entries) for refusal in outcomes]
        for entry in results:
            if isinstance(entry, LedgerEntry):
                user = people[entry.account_id]
                webhooks.emit_movement(event=WebhookEvent.TOPUP_CREATED, entry=entry, user=user)
    return results


def preview_many(
    *, actor: User, items: Sequence[TopUp], memo: str = "", at: datetime
) -> list[LedgerEntry | DomainError]:
    """What topping these people up would do now: it is done and taken back."""
    with transaction.atomic():
        results = top_up_many(actor=actor, items=items, memo=memo, at=at)
        transaction.set_rollback(True)
    return results


def _run_of(actor: User, granted: Sequence[TopUp], memo: str, at: datetime) -> BulkTopUp:
    """The run that these top-ups make, or that they made when they were sent before."""
    keys = [item.idempotency_key for item in granted if item.idempotency_key is not None]
    known = LedgerEntry.objects.filter(idempotency_key__in=keys).values_list("reference", flat=True)
    ids = {BulkTopUp.id_of(reference) for reference in known} - {None}
    run = BulkTopUp.objects.filter(pk__in=ids).first()
    if run is None:
        run = BulkTopUp(actor=actor, memo=memo, created_at=at)
        if granted:
            run.save()
    return run


def _posted(run: BulkTopUp, postings: Sequence[ledger.Posting], at: datetime) -> list[LedgerEntry]:
    """Write the top-ups and count those that are new to the run; one that gave nothing new is not kept."""
    entries = ledger.post(postings=postings, at=at)
    fresh = [entry for entry in entries if not entry.is_replay]
    BulkTopUp.objects.filter(pk=run.pk).update(
        count=F("count") + len(fresh), total=F("total") + sum(entry.amount for entry in fresh)
    )
    BulkTopUp.objects.filter(pk=run.pk, count=0).delete()
    return entries


def _people(actor: User, ids: set[int]) -> dict[int, User]:
    return {user.pk: user for user in User.objects.visible_to(actor).filter(pk__in=ids)}


def _lock_accounts(people: dict[int, User]) -> dict[int, int]:
    """Everybody's balance, locked in the order of ids like everywhere."""
    missing = [QuotaAccount(user=user) for user in people.values()]
    QuotaAccount.objects.bulk_create(missing, ignore_conflicts=True)
    locked = QuotaAccount.objects.select_for_update().filter(pk__in=people).order_by("pk")
    return {account.pk: account.balance for account in locked}


def _known_keys(items: Sequence[TopUp]) -> set[str | None]:
    """The idempotency keys whose movements are in the balances already."""
    keys = [item.idempotency_key for item in items if item.idempotency_key is not None]
    if not keys:
        return set()
    known = LedgerEntry.objects.filter(idempotency_key__in=keys)
    return set(known.values_list("idempotency_key", flat=True))


def _refusal(
    actor: User, item: TopUp, people: dict[int, User], balances: dict[int, int], known: set[str | None]
) -> DomainError | None:
    """Why an item cannot be done; None, and its balance counted on, if it can."""
    user = people.get(item.user_id)
    if user is None:
        return UnknownUserError(user_id=item.user_id)
    if not (actor.is_root or (actor.is_operator and not user.is_operator)):
        return PermissionDeniedError()
    if not 0 < item.quota <= MAX_QUOTA:
        return InvalidAmountError(max=MAX_QUOTA)
    if item.idempotency_key in known:
        return None
    if balances[user.pk] + item.quota > MAX_QUOTA:
        return ledger.QuotaTooLargeError()
    balances[user.pk] += item.quota
    return None


def _posting(actor: User, item: TopUp, memo: str, reference: str) -> ledger.Posting:
    return ledger.Posting(
        account_id=item.user_id,
        kind=EntryKind.TOP_UP,
        amount=item.quota,
        actor_id=actor.pk,
        memo=item.memo or memo,
        reference=reference,
        idempotency_key=item.idempotency_key,
    )
