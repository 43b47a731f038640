"""How full accounts were when their quota was last raised."""

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.db.models import Max, QuerySet

from billing.models import EntryKind, LedgerEntry, QuotaLevel
from billing.services.alerts.feeds import Feed
from oneapi_admin.lib.sql import Statements, insert_rows, table

_OF_CALLS = (EntryKind.USAGE, EntryKind.REFUND)


def follow(entries: Feed) -> None:
    """Keep the levels of the accounts whose quota was raised."""
    raised = _raising().filter(pk__gt=entries.after).order_by("pk")
    _keep({account: (entry, level) for account, entry, level in _rows(raised)})


def levels_of(account_ids: Sequence[int]) -> dict[int, QuotaLevel]:
    """By account; those that nobody asked for before are looked up in the ledger, once."""
    found = QuotaLevel.objects.in_bulk(account_ids)
    unknown = [account_id for account_id in account_ids if account_id not in found]
    if not unknown:
        return found
    newest = _raising().filter(account__in=unknown).values("account").annotate(newest=Max("pk"))
    known = LedgerEntry.objects.filter(pk__in=list(newest.values_list("newest", flat=True)))
    _keep(
        dict.fromkeys(unknown, (0, 0)) | {account: (entry, level) for account, entry, level in _rows(known)}
    )
    return QuotaLevel.objects.in_bulk(account_ids)


def _raising() -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(amount__gt=0).exclude(kind__in=_OF_CALLS)


def _rows(entries: QuerySet[LedgerEntry]) -> Iterable[tuple[int, int, int]]:
    return entries.values_list("account_id", "pk", "balance_after")


def _keep(levels: dict[int, tuple[int, int]]) -> None:
    """Write levels down; one by an older entry never replaces one by a newer."""
    if not levels:
        return
    name = table(QuotaLevel)
    suffix = (
        "ON CONFLICT (account_id) DO UPDATE SET entry_id = excluded.entry_id, level = excluded.level"
        f" WHERE excluded.entry_id > {name}.entry_id"
    )
    rows = [(account_id, *levels[account_id]) for account_id in sorted(levels)]
    with transaction.atomic():
        insert_rows(Statements(), QuotaLevel, ("account_id", "entry_id", "level"), rows, suffix=suffix)
