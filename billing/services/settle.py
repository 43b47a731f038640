"""Charging served calls: ledger entry, usage row, rollups and counters, in one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from billing.models import (
    CallStatus,
    ChannelTotals,
    EntryKind,
    LedgerEntry,
    QuotaAccount,
    TokenQuota,
    UsageDaily,
    UsageHourly,
    UsageRecord,
)
from billing.services.holds import drop_holds
from billing.services.ledger import insert_entries
from oneapi_admin.lib.sql import insert_rows, lock_rows, placeholders, table, update_from_values, upsert_sums

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What the caller is told: charged and remaining, in quota units."""

    quota: int
    available: int


_COLUMNS = tuple(field.name for field in fields(Settlement))


def settle(*, settlements: Sequence[Settlement], at: datetime) -> list[Settled]:
    """Charge calls once each, however often they are handed in, and drop their holds.

    A call whose hold was swept meanwhile is charged all the same; one whose cost passed
    its estimate is charged in full and logged, and its account may fall below zero.

    :returns: one result a settlement, in their order
    """
    unique = {settlement.request_id: settlement for settlement in settlements}
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        also_lock = [(s.account_id, s.token_id) for s in unique.values()]
        drop_holds(cursor, request_ids=list(unique), also_lock=also_lock)
        known = _known_request_ids(cursor, list(unique))
        fresh = [s for request_id, s in unique.items() if request_id not in known]
        if fresh:
            _charge(cursor, fresh, at)
        funds = lock_rows(
            cursor,
            QuotaAccount,
            ["user_id", "balance", "held"],
            (s.account_id for s in settlements),
            pk="user_id",
        )
    for settlement in fresh:
        if settlement.quota > settlement.estimate:
            logger.warning(
                "billing.call_overran_its_estimate",
                request_id=settlement.request_id,
                quota=settlement.quota,
                estimate=settlement.estimate,
            )
    available = {account_id: balance - held for account_id, balance, held in funds}
    return [Settled(quota=s.quota, available=available[s.account_id]) for s in settlements]


def _known_request_ids(cursor: CursorWrapper, request_ids: list[str]) -> set[str]:
    cursor.execute(
        f"SELECT request_id FROM {table(UsageRecord)} WHERE request_id IN {placeholders([request_ids])}",
        request_ids,
    )
    return {row[0] for row in cursor.fetchall()}


def _charge(cursor: CursorWrapper, calls: Sequence[Settlement], at: datetime) -> None:
    entries = _write_entries(cursor, calls, at)
    _count_on_accounts(cursor, calls)
    _count_on_tokens(cursor, calls)
    _count_on_channels(cursor, calls)
    _write_usage(cursor, calls, entries)
    _add_to_daily(cursor, calls)
    _add_to_hourly(cursor, calls)


def _write_entries(cursor: CursorWrapper, calls: Sequence[Settlement], at: datetime) -> dict[int, int]:
    """One ledger entry an account and batch; returns its id by account."""
    costs: dict[int, int] = defaultdict(int)
    for call in calls:
        costs[call.account_id] += call.quota
    charged = {account_id: cost for account_id, cost in sorted(costs.items()) if cost}
    if not charged:
        return {}
    balances = dict(lock_rows(cursor, QuotaAccount, ["user_id", "balance"], charged, pk="user_id"))
    entries = [
        LedgerEntry(
            account_id=account_id,
            kind=EntryKind.USAGE,
            amount=-cost,
            balance_after=balances[account_id] - cost,
            created_at=at,
        )
        for account_id, cost in charged.items()
    ]
    insert_entries(entries)
    return {entry.account_id: entry.pk for entry in entries}


def _sums(calls: Iterable[Settlement], key: str) -> list[tuple[int, int, int]]:
    """Key, cost and number of calls, sorted by key."""
    cost: dict[int, int] = defaultdict(int)
    count: dict[int, int] = defaultdict(int)
    for call in calls:
        cost[getattr(call, key)] += call.quota
        count[getattr(call, key)] += 1
    return [(pk, cost[pk], count[pk]) for pk in sorted(cost)]


def _count_on_accounts(cursor: CursorWrapper, calls: Sequence[Settlement]) -> None:
    update_from_values(
        cursor,
        QuotaAccount,
        "balance = t.balance - v.column2, used_quota = t.used_quota + v.column2,"
        " request_count = t.request_count + v.column3",
        _sums(calls, "account_id"),
        pk="user_id",
    )


def _count_on_tokens(cursor: CursorWrapper, calls: Sequence[Settlement]) -> None:
    latest: dict[int, datetime] = {}
    for call in calls:
        latest[call.token_id] = max(call.created_at, latest.get(call.token_id, call.created_at))
    adapt = connection.ops.adapt_datetimefield_value
    update_from_values(
        cursor,
        TokenQuota,
        "used_quota = t.used_quota + v.column2, request_count = t.request_count + v.column3,"
        " last_used_at = v.column4",
        [(*row, adapt(latest[row[0]])) for row in _sums(calls, "token_id")],
        pk="token_id",
    )


def _count_on_channels(cursor: CursorWrapper, calls: Sequence[Settlement]) -> None:
    upstream: dict[int, int] = defaultdict(int)
    for call in calls:
        upstream[call.channel_id] += call.upstream_cost
    lock_rows(cursor, ChannelTotals, ["channel_id"], upstream, pk="channel_id")
    update_from_values(
        cursor,
        ChannelTotals,
        "used_quota = t.used_quota + v.column2, request_count = t.request_count + v.column3,"
        " upstream_cost = t.upstream_cost + v.column4",
        [(*row, upstream[row[0]]) for row in _sums(calls, "channel_id")],
        pk="channel_id",
    )


def _write_usage(cursor: CursorWrapper, calls: Sequence[Settlement], entries: dict[int, int]) -> None:
    adapt = connection.ops.adapt_datetimefield_value
    rows = []
    for call in calls:
        values = [getattr(call, column) for column in _COLUMNS[:-1]]
        rows.append((*values, adapt(call.created_at), entries.get(call.account_id) if call.quota else None))
    insert_rows(cursor, UsageRecord, (*_COLUMNS, "ledger_entry_id"), rows)


def _rollup_values(call: Settlement) -> tuple[int, ...]:
    failures = int(call.status == CallStatus.FAILED)
    return (1, failures, call.prompt_tokens, call.cached_tokens, call.completion_tokens, call.quota)


_ROLLUP = ("request_count", "failure_count", "prompt_tokens", "cached_tokens", "completion_tokens", "quota")


def _add_to_daily(cursor: CursorWrapper, calls: Sequence[Settlement]) -> None:
    sums: dict[tuple[int, object, int, str], tuple[int, ...]] = {}
    adapt = connection.ops.adapt_datefield_value
    for call in calls:
        day = adapt(call.created_at.astimezone(UTC).date())
        key = (call.account_id, day, call.token_id, call.model)
        sums[key] = _added(sums.get(key), _rollup_values(call))
    rows = sorted(((*key, *values) for key, values in sums.items()), key=lambda row: row[:4])
    upsert_sums(cursor, UsageDaily, ("account_id", "day", "token_id", "model"), _ROLLUP, rows)


def _add_to_hourly(cursor: CursorWrapper, calls: Sequence[Settlement]) -> None:
    sums: dict[tuple[object, int, str], tuple[int, ...]] = {}
    adapt = connection.ops.adapt_datetimefield_value
    for call in calls:
        hour = adapt(call.created_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
        key = (hour, call.channel_id, call.model)
        values = (*_rollup_values(call), call.upstream_cost, call.duration_ms)
        sums[key] = _added(sums.get(key), values)
    rows = sorted(((*key, *values) for key, values in sums.items()), key=lambda row: row[:3])
    upsert_sums(
        cursor,
        UsageHourly,
        ("hour", "channel_id", "model"),
        (*_ROLLUP, "upstream_cost", "duration_ms"),
        rows,
    )


def _added(total: tuple[int, ...] | None, values: tuple[int, ...]) -> tuple[int, ...]:
    return values if total is None else tuple(a + b for a, b in zip(total, values, strict=True))
