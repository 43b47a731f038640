"""Undoing a bulk top-up: each of its entries is reversed, as far as its quota is still there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from accounts.models import User
from billing.models import BulkTopUp, EntryKind, LedgerEntry
from billing.services import reversals
from oneapi_admin.lib.errors import DomainError

_AT_ONCE = 200
"""Entries a transaction, so that nobody's account is locked for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What becomes of one entry, in quota units."""

    entry: LedgerEntry
    amount: int
    """What is taken back; 0 when it is refused."""
    shortfall: int
    """What is gone already."""
    refusal: DomainError | None
    reversal_id: int | None = None
    """None when it is refused, and in a preview."""


def preview_undo(*, actor: User, run: BulkTopUp, allow_partial: bool) -> list[Undone]:
    """What undoing a run would do now; nothing is written."""
    plans = reversals.preview(actor=actor, entries=_entries(run), allow_partial=allow_partial)
    return [_planned(plan, allow_partial=allow_partial) for plan in plans]


def undo(*, actor: User, run: BulkTopUp, memo: str, allow_partial: bool, at: datetime) -> list[Undone]:
    """Reverse every entry of a run that can be reversed; one's refusal does not hinder the others.

    Safe to repeat: what was reversed stays so, and the rest is tried again. Each portion is one transaction,
    unless the caller has one around them all.

    :param allow_partial: take what is left where a part is spent or held; the rest is given up for good
    """
    return [
        result
        for portion in _portions(_entries(run))
        for result in _undo(actor, portion, memo, allow_partial=allow_partial, at=at)
    ]


def _undo(
    actor: User, entries: Sequence[LedgerEntry], memo: str, *, allow_partial: bool, at: datetime
) -> Iterator[Undone]:
    results = reversals.reverse_all(
        actor=actor, entries=entries, memo=memo, allow_partial=allow_partial, at=at
    )
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, DomainError):
            left = result.context["available"] if isinstance(result, reversals.QuotaSpentError) else None
            shortfall = 0 if left is None else entry.amount - left
            yield Undone(entry=entry, amount=0, shortfall=shortfall, refusal=result)
        else:
            short = entry.amount + result.amount
            yield Undone(
                entry=entry, amount=-result.amount, shortfall=short, refusal=None, reversal_id=result.pk
            )


def _planned(plan: reversals.Reversal, *, allow_partial: bool) -> Undone:
    is_done = plan.refusal is None or (allow_partial and plan.is_possible_in_part)
    return Undone(
        entry=plan.entry,
        amount=-plan.amount if is_done else 0,
        shortfall=plan.shortfall,
        refusal=None if is_done else plan.refusal,
    )


def _entries(run: BulkTopUp) -> list[LedgerEntry]:
    """In the order of their accounts, which is that of all locks."""
    entries = LedgerEntry.objects.filter(~Q(reference=""), reference=run.reference, kind=EntryKind.TOP_UP)
    return list(entries.select_related("account__user").order_by("account_id", "pk"))


def _portions(entries: Sequence[LedgerEntry]) -> Iterator[Sequence[LedgerEntry]]:
    for start in range(0, len(entries), _AT_ONCE):
        yield entries[start : start + _AT_ONCE]
