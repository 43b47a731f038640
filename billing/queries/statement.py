"""A person's movements of quota, in words, and the proof that they add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from billing.models import EntryKind, LedgerEntry, QuotaAccount, UsageRecord
from billing.queries.ledger import with_reversals
from billing.queries.usage import last_moment, midnight
from oneapi_admin.lib.quota import format_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFilters:
    """Which movements to show; days are UTC and both included."""

    kind: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """Sums of a person's movements in quota units, all read at one moment."""

    balance: int
    """What the account says."""
    total: int
    """What all its movements add up to."""
    count: int
    opening: int
    """The sum of everything before the days shown."""
    paid_in: int
    paid_out: int
    """Negative or 0."""
    shown: int
    """How many movements match the filters."""

    @property
    def closing(self) -> int:
        return self.opening + self.paid_in + self.paid_out

    @property
    def adds_up(self) -> bool:
        return self.total == self.balance


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """A movement in words."""

    entry: LedgerEntry
    text: str
    note: str
    call_count: int = 0
    call_id: int | None = None
    """The call that was refunded."""


def statement_of(*, user: User, filters: StatementFilters) -> QuerySet[LedgerEntry]:
    """The person's movements."""
    return with_reversals(LedgerEntry.objects.filter(_matching(filters), account_id=user.pk))


def balances_of(*, user: User, filters: StatementFilters) -> Balances:
    """Sum up with one query, so that a call that settles meanwhile is in all of the sums or in none."""
    matching = _matching(filters, "entries__")
    before = Q(entries__created_at__lt=midnight(filters.since)) if filters.since else Q(pk__in=[])
    sums = (
        QuotaAccount.objects.filter(pk=user.pk)
        .annotate(
            total=Sum("entries__amount", default=0),
            count=Count("entries"),
            opening=Sum("entries__amount", filter=before, default=0),
            paid_in=Sum("entries__amount", filter=matching & Q(entries__amount__gt=0), default=0),
            paid_out=Sum("entries__amount", filter=matching & Q(entries__amount__lt=0), default=0),
            shown=Count("entries", filter=matching),
        )
        .values("balance", "total", "count", "opening", "paid_in", "paid_out", "shown")
        .first()
    )
    return Balances(**(sums or dict.fromkeys(Balances.__dataclass_fields__, 0)))


def statement_lines(entries: Sequence[LedgerEntry]) -> list[StatementLine]:
    """Put movements into words, with one query for each kind that is about something else."""
    usage = [entry.pk for entry in entries if entry.kind == EntryKind.USAGE]
    calls = (
        UsageRecord.objects.filter(ledger_entry__in=usage)
        .values("ledger_entry_id")
        .annotate(call_count=Count("pk"), first_model=Min("model"), last_model=Max("model"))
    )
    by_entry = {row["ledger_entry_id"]: row for row in calls}
    refunded = _refunded_calls(entries)
    originals = _originals(entries)
    lines = []
    for entry in entries:
        if entry.pk in by_entry:
            lines.append(_usage_line(entry, by_entry[entry.pk]))
        elif entry.reverses_id is not None:
            lines.append(_reversal_line(entry, originals[entry.reverses_id]))
        elif entry.kind == EntryKind.REFUND and entry.reference in refunded:
            lines.append(_refund_line(entry, refunded[entry.reference]))
        else:
            lines.append(_line(entry))
    return lines


def _refunded_calls(entries: Sequence[LedgerEntry]) -> dict[str, UsageRecord]:
    names = [entry.reference for entry in entries if entry.kind == EntryKind.REFUND]
    calls = UsageRecord.objects.filter(request_id__in=names).only("account_id", "request_id", "model")
    return {call.request_id: call for call in calls} if names else {}


def _originals(entries: Sequence[LedgerEntry]) -> dict[int, LedgerEntry]:
    ids = {entry.reverses_id for entry in entries if entry.reverses_id is not None}
    return LedgerEntry.objects.in_bulk(ids) if ids else {}


def _usage_line(entry: LedgerEntry, calls: dict[str, Any]) -> StatementLine:
    count = calls["call_count"]
    text = ngettext("Usage, %(count)s call", "Usage, %(count)s calls", count) % {"count": count}
    is_one_model = calls["first_model"] == calls["last_model"]
    note = calls["first_model"] if is_one_model else _("several models")
    return StatementLine(entry=entry, text=text, note=note, call_count=count)


def _reversal_line(entry: LedgerEntry, original: LedgerEntry) -> StatementLine:
    words = {
        "what": _words(original.kind),
        "amount": format_usd(original.amount, signed=True),
        "number": original.pk,
    }
    text = _("Reversed: %(what)s, %(amount)s (no. %(number)s)") % words
    return StatementLine(entry=entry, text=text, note=entry.memo)


def _refund_line(entry: LedgerEntry, call: UsageRecord) -> StatementLine:
    text = _("Refund of a call of %(model)s") % {"model": call.model}
    return StatementLine(entry=entry, text=text, note=entry.memo, call_id=call.pk)


def _line(entry: LedgerEntry) -> StatementLine:
    if entry.kind == EntryKind.REDEMPTION and entry.memo:
        return StatementLine(entry=entry, text=_("Redeemed code %(code)s") % {"code": entry.memo}, note="")
    return StatementLine(entry=entry, text=_words(entry.kind), note=entry.memo)


def _words(kind: str) -> str:
    return {
        EntryKind.TOP_UP: _("Topped up by an operator"),
        EntryKind.REDEMPTION: _("Redeemed a code"),
        EntryKind.USAGE: _("Usage"),
        EntryKind.REFUND: _("Refund"),
        EntryKind.ADJUSTMENT: _("Adjusted by an operator"),
        EntryKind.GRANT: _("Granted"),
        EntryKind.EXPIRY: _("Expired"),
        EntryKind.IMPORT: _("Taken over from another system"),
        EntryKind.REVERSAL: _("Reversed"),
    }[EntryKind(kind)]


def _matching(filters: StatementFilters, prefix: str = "") -> Q:
    matching = Q()
    if filters.kind:
        matching &= Q(**{f"{prefix}kind": filters.kind})
    if filters.since is not None:
        matching &= Q(**{f"{prefix}created_at__gte": midnight(filters.since)})
    if filters.until is not None:
        matching &= Q(**{f"{prefix}created_at__lte": last_moment(filters.until)})
    return matching
