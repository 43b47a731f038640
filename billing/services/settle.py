"""Charging served calls: their usage rows, the sums of those, and the channels' counters."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import structlog

from billing.models import (
    CallStatus,
    ChannelTotals,
    LedgerEntry,
    UsageDaily,
    UsageHourly,
    UsageRecord,
)
from billing.services.books import Books
from oneapi_admin.lib.sql import (
    Batch,
    any_of,
    insert_rows,
    is_any,
    lock_rows,
    table,
    update_rows,
    upsert_sums,
)

logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Settlement:
    """How a call ended and what it costs; the fields are those of ``UsageRecord``."""

    request_id: str
    account_id: int
    username: str
    token_id: int
    token_name: str
    channel_id: int
    channel_name: str
    model: str
    served_model: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    quota: int
    estimate: int
    upstream_cost: int
    price_version: str
    group_multiplier: Decimal
    usage_source: str
    status: str
    http_status: int
    error_code: str
    is_stream: bool
    first_byte_ms: int
    duration_ms: int
    created_at: datetime

    def to_record(self) -> dict[str, Any]:
        """What :meth:`of_record` reads, of what JSON can hold."""
        record = dict(zip(_COLUMNS, _values(self), strict=True))
        record["group_multiplier"] = str(self.group_multiplier)
        record["created_at"] = self.created_at.isoformat()
        return record

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Settlement":
        multiplier, at = record["group_multiplier"], record["created_at"]
        parsed = {"group_multiplier": Decimal(multiplier), "created_at": datetime.fromisoformat(at)}
        return cls(**{**record, **parsed})


@dataclass(slots=True, kw_only=True)
class Settled:
    """What the caller is told: charged and remaining, in quota units."""

    quota: int
    available: int


_COLUMNS = tuple(field.name for field in fields(Settlement))
_values = attrgetter(*_COLUMNS)


def charge(*, books: Books, settlements: Iterable[Settlement]) -> None:
    """Take what calls cost off their accounts."""
    for settlement in settlements:
        books.accounts[settlement.account_id].charge(settlement.quota)
        books.token(settlement.token_id).charge(settlement.quota, settlement.created_at)
        if settlement.quota > settlement.estimate:
            logger.warning(
                "billing.call_overran_its_estimate",
                request_id=settlement.request_id,
                quota=settlement.quota,
                estimate=settlement.estimate,
            )


def find_charged(batch: Batch, request_ids: Collection[str]) -> dict[str, int]:
    """Which of these calls, whose holds are gone, were charged before, and how many quota units.

    A charge takes the hold away.
    """
    if not request_ids:
        return {}
    rows = batch.execute(
        f"SELECT request_id, quota FROM {table(UsageRecord)} WHERE {is_any('request_id', 'text')}",
        [any_of(request_ids)],
    ).fetchall()
    return dict(rows)


def record(batch: Batch, calls: Sequence[Settlement]) -> None:
    """Write the calls and the sums of them; what every batch of every process writes comes last.

    The ledger entries of the accounts that were charged have to be written before.
    """
    _write_usage(batch, calls)
    _add_to_daily(batch, calls)
    _count_on_channels(batch, calls)
    _add_to_hourly(batch, calls)


def _sums(calls: Iterable[Settlement], key: str) -> list[tuple[int, int, int]]:
    """Key, cost and number of calls, sorted by key."""
    cost: dict[int, int] = defaultdict(int)
    count: dict[int, int] = defaultdict(int)
    for call in calls:
        cost[getattr(call, key)] += call.quota
        count[getattr(call, key)] += 1
    return [(pk, cost[pk], count[pk]) for pk in sorted(cost)]


def _count_on_channels(batch: Batch, calls: Sequence[Settlement]) -> None:
    upstream: dict[int, int] = defaultdict(int)
    for call in calls:
        upstream[call.channel_id] += call.upstream_cost
    if len(upstream) > 1:  # in one order, whoever else writes them
        lock_rows(batch, ChannelTotals, ["channel_id"], upstream)
    update_rows(
        batch,
        ChannelTotals,
        ("channel_id", "used_quota", "request_count", "upstream_cost"),
        "used_quota = t.used_quota + v.v1, request_count = t.request_count + v.v2,"
        " upstream_cost = t.upstream_cost + v.v3",
        [(*row, upstream[row[0]]) for row in _sums(calls, "channel_id")],
    )


def _write_usage(batch: Batch, calls: Sequence[Settlement]) -> None:
    account, quota = (f"v.v{_COLUMNS.index(column)}" for column in ("account_id", "quota"))
    # Nobody else can have written to the account since: this transaction has its lock.
    newest = f"SELECT MAX(e.id) FROM {table(LedgerEntry)} e WHERE e.account_id = {account}"
    entry = f"CASE WHEN {quota} > 0 THEN ({newest}) END"
    insert_rows(batch, UsageRecord, _COLUMNS, [*map(_values, calls)], computed=("ledger_entry_id", entry))


def _rollup_values(call: Settlement) -> tuple[int, ...]:
    failures = int(call.status == CallStatus.FAILED)
    return (1, failures, call.prompt_tokens, call.cached_tokens, call.completion_tokens, call.quota)


_ROLLUP = ("request_count", "failure_count", "prompt_tokens", "cached_tokens", "completion_tokens", "quota")


def _add_to_daily(batch: Batch, calls: Sequence[Settlement]) -> None:
    sums: dict[tuple[int, object, int, str], tuple[int, ...]] = {}
    for call in calls:
        day = call.created_at.astimezone(UTC).date()
        key = (call.account_id, day, call.token_id, call.model)
        sums[key] = _added(sums.get(key), _rollup_values(call))
    rows = sorted(((*key, *values) for key, values in sums.items()), key=lambda row: row[:4])
    upsert_sums(batch, UsageDaily, ("account_id", "day", "token_id", "model"), _ROLLUP, rows)


def _add_to_hourly(batch: Batch, calls: Sequence[Settlement]) -> None:
    sums: dict[tuple[object, int, str], tuple[int, ...]] = {}
    for call in calls:
        hour = call.created_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        key = (hour, call.channel_id, call.model)
        values = (*_rollup_values(call), call.upstream_cost, call.duration_ms)
        sums[key] = _added(sums.get(key), values)
    rows = sorted(((*key, *values) for key, values in sums.items()), key=lambda row: row[:3])
    upsert_sums(
        batch,
        UsageHourly,
        ("hour", "channel_id", "model"),
        (*_ROLLUP, "upstream_cost", "duration_ms"),
        rows,
    )


def _added(total: tuple[int, ...] | None, values: tuple[int, ...]) -> tuple[int, ...]:
    return values if total is None else tuple(a + b for a, b in zip(total, values, strict=True))
