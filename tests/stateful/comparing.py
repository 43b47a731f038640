"""What the database says, in the words of ``tests.stateful.model``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from accounts.models import User
from billing.models import BulkTopUp, Hold, LedgerEntry, QuotaAccount, TokenQuota, UsageHourly, UsageRecord
from billing.services.audit import audit_ledger
from redemption.models import Redemption, RedemptionCode
from redemption.queries import batches
from tests.stateful.model import Ledger


def check(ledger: Ledger) -> list[int]:
    """Fail where the database and the model differ.

    :returns: the primary keys of all entries, in the model's order
    """
    entries, seen = view(ledger.accounts, ledger.batches)
    expected = ledger.view()
    for subject, values in expected.items():
        assert seen[subject] == values, f"{subject}: the model on the right"
    assert not BulkTopUp.objects.filter(count=0).exists()
    return entries


def audit() -> None:
    """Fail where an invariant is broken."""
    broken = {check.code: check.broken_ids for check in audit_ledger() if check.broken}
    assert broken == {}
    assert not UsageHourly.objects.exclude(hour__minute=0, hour__second=0).exists()


def view(account_ids: Iterable[int], batch_ids: Iterable[int]) -> tuple[list[int], dict[str, Any]]:
    """Everything about these accounts and batches of codes, and the primary keys of their entries."""
    pks, batch_pks = list(account_ids), list(batch_ids)
    accounts = QuotaAccount.objects.filter(pk__in=pks)
    entries = list(LedgerEntry.objects.filter(account_id__in=pks).order_by("pk"))
    place = {entry.pk: index for index, entry in enumerate(entries)}
    runs = run_ids(entries)
    tokens = TokenQuota.objects.filter(token__user_id__in=pks).values_list(
        "pk", "quota_limit", "used_quota", "held", "request_count", "token__status", "token__expires_at"
    )
    usage = UsageRecord.objects.filter(account_id__in=pks).values_list(
        "request_id", "account_id", "token_id", "quota", "ledger_entry_id"
    )
    holds = Hold.objects.filter(account_id__in=pks)
    figures = ("redeemed_count", "used_count", "disabled_count", "disabled_uses")
    made = batches().filter(pk__in=batch_pks).values_list("pk", "status", *figures)
    codes = RedemptionCode.objects.filter(batch__in=batch_pks)
    redemptions = Redemption.objects.filter(batch__in=batch_pks).order_by("pk")
    counters = accounts.values_list("pk", "balance", "held", "used_quota", "request_count")
    return list(place), {
        "accounts": {pk: tuple(row) for pk, *row in counters},
        "statuses": dict(User.objects.filter(pk__in=pks).values_list("pk", "status")),
        "tokens": {pk: (*row, status == "enabled", end) for pk, *row, status, end in tokens},
        "holds": {
            pk: tuple(row) for pk, *row in holds.values_list("request_id", "account_id", "token_id", "amount")
        },
        "entries": [_entry(entry, place, runs) for entry in entries],
        "runs": [
            (run.count, run.total, run.reversed_count, run.reversed_total)
            for run in BulkTopUp.objects.with_reversals().filter(pk__in=runs).order_by("pk")
        ],
        "usage": {pk: (*row, place.get(entry)) for pk, *row, entry in usage},
        "batches": {pk: tuple(row) for pk, *row in made},
        "codes": {
            pk: tuple(row)
            for pk, *row in codes.values_list("pk", "batch_id", "status", "used_count", "redeemed_by_id")
        },
        "redemptions": [
            (*row, place.get(entry))
            for *row, entry in redemptions.values_list("code_id", "number", "user_id", "entry_id")
        ],
    }


def run_ids(entries: Sequence[LedgerEntry]) -> list[int]:
    """The bulk top-ups that entries belong to, in the order of their first entries."""
    return [
        pk for pk in dict.fromkeys(BulkTopUp.id_of(entry.reference) for entry in entries) if pk is not None
    ]


def runs_of(account_ids: Iterable[int]) -> list[BulkTopUp]:
    """All bulk top-ups of these accounts, the oldest first."""
    ids = run_ids(list(LedgerEntry.objects.filter(account_id__in=list(account_ids)).order_by("pk")))
    return list(BulkTopUp.objects.filter(pk__in=ids).order_by("pk"))


def check_told(told: Iterable[tuple[int, Mapping[str, Any]]], ledger: Ledger, pks: Sequence[int]) -> None:
    """Fail where an answer and the model's entry differ.

    :param told: answers, each with its entry's place in the model
    """
    for place, answer in told:
        entry = ledger.entries[place]
        expected = {
            "id": pks[place],
            "user_id": entry.account_id,
            "kind": entry.kind,
            "amount": entry.amount,
            "balance_after": entry.balance_after,
        }
        assert {name: answer[name] for name in expected} == expected


def _entry(entry: LedgerEntry, place: Mapping[int, int], runs: Sequence[int]) -> tuple[Any, ...]:
    run = BulkTopUp.id_of(entry.reference)
    reference = entry.reference if run is None else f"run {runs.index(run)}"
    reverses = None if entry.reverses_id is None else place[entry.reverses_id]
    return (entry.account_id, entry.kind, entry.amount, entry.balance_after, reference, reverses)
