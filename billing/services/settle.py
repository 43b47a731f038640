"""Charging served calls: ledger entry, usage row, rollups and counters, in one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from operator import attrgetter

import structlog

from billing.models import (
    CallStatus,
    ChannelTotals,
    QuotaAccount,
    TokenQuota,
    UsageDaily,
    UsageHourly,
    UsageRecord,
)
from billing.services.holds import delete_holds
from billing.services.ledger import insert_usage
from oneapi_admin.lib.sql import (
    Answer,
    Batch,
    any_of,
    durable_batch,
    insert_rows,
    is_any,
    lock_rows,
    table,
    update_rows,
    upsert_sums,
)

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
_values = attrgetter(*_COLUMNS)


def settle(*, settlements: Sequence[Settlement], at: datetime) -> list[Settled]:
    """Charge calls once each, however often they are handed in, and drop their holds.

    A call whose hold was swept meanwhile is charged all the same; one whose cost passed
    its estimate is charged in full and logged, and its account may fall below zero.

    :returns: one result a settlement, in their order
    """
    unique = {settlement.request_id: settlement for settlement in settlements}
    with durable_batch() as batch:
        account_rows = _lock_accounts(batch, unique.values())
        dropped = delete_holds(batch, request_ids=list(unique)).fetchall()
        accounts = {pk: _Account(balance, held) for pk, balance, held in account_rows.fetchall()}
        freed: dict[int, int] = defaultdict(int)  # what each token's holds give back
        for _request_id, account_id, token_id, amount in dropped:
            accounts[account_id].held -= amount
            freed[token_id] += amount
        known = _find_known(batch, unique.keys() - {request_id for request_id, *_ in dropped})
        fresh = [s for request_id, s in unique.items() if request_id not in known]
        for settlement in fresh:
            accounts[settlement.account_id].add(settlement)
        entry_rows = _write_entries(batch, accounts, at)
        _write_accounts(batch, accounts)
        _write_tokens(batch, freed, fresh)
        if fresh:
            _count_on_channels(batch, fresh)
            _add_to_daily(batch, fresh)
            _add_to_hourly(batch, fresh)
            _write_usage(batch, fresh, dict(entry_rows.fetchall()) if entry_rows else {})
    for settlement in fresh:
        if settlement.quota > settlement.estimate:
            logger.warning(
                "billing.call_overran_its_estimate",
                request_id=settlement.request_id,
                quota=settlement.quota,
                estimate=settlement.estimate,
            )
    return [Settled(quota=s.quota, available=accounts[s.account_id].available) for s in settlements]


@dataclass(slots=True)
class _Account:
    """An account while a batch is written: as it will be, and what the batch adds to it."""

    balance: int
    held: int
    charged: int = 0
    calls: int = 0

    @property
    def available(self) -> int:
        return self.balance - self.held

    def add(self, settlement: Settlement) -> None:
        self.balance -= settlement.quota
        self.charged += settlement.quota
        self.calls += 1


def _lock_accounts(batch: Batch, calls: Iterable[Settlement]) -> Answer:
    columns = ["user_id", "balance", "held"]
    return lock_rows(batch, QuotaAccount, columns, (call.account_id for call in calls))


def _find_known(batch: Batch, request_ids: Iterable[str]) -> set[str]:
    """Which of the calls without a hold were charged before; the charge of a call takes its hold away."""
    if not request_ids:
        return set()
    rows = batch.execute(
        f"SELECT request_id FROM {table(UsageRecord)} WHERE {is_any('request_id', 'text')}",
        [any_of(request_ids)],
    ).fetchall()
    return {row[0] for row in rows}


def _write_accounts(batch: Batch, accounts: dict[int, _Account]) -> None:
    update_rows(
        batch,
        QuotaAccount,
        ("user_id", "balance", "held", "used_quota", "request_count"),
        "balance = v.v1, held = v.v2,"
        " used_quota = t.used_quota + v.v3, request_count = t.request_count + v.v4",
        [(pk, a.balance, a.held, a.charged, a.calls) for pk, a in sorted(accounts.items())],
    )


def _write_tokens(batch: Batch, freed: dict[int, int], calls: Sequence[Settlement]) -> None:
    """Charge and free each token; a deleted one is no longer there to be written."""
    latest: dict[int, datetime] = {}
    for call in calls:
        latest[call.token_id] = max(call.created_at, latest.get(call.token_id, call.created_at))
    charged = {pk: (quota, count) for pk, quota, count in _sums(calls, "token_id")}
    rows = [
        (pk, freed.get(pk, 0), *charged.get(pk, (0, 0)), latest.get(pk)) for pk in sorted({*charged, *freed})
    ]
    if rows:
        update_rows(
            batch,
            TokenQuota,
            ("token_id", "held", "used_quota", "request_count", "last_used_at"),
            "held = t.held - v.v1, used_quota = t.used_quota + v.v2, request_count = t.request_count + v.v3,"
            " last_used_at = COALESCE(v.v4, t.last_used_at)",
            rows,
        )


def _write_entries(batch: Batch, accounts: dict[int, _Account], at: datetime) -> Answer | None:
    """One ledger entry an account and batch; their ids by account are in the answer."""
    charged = [(pk, a.charged, a.balance) for pk, a in sorted(accounts.items()) if a.charged]
    return insert_usage(batch, charged, at) if charged else None


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


def _write_usage(batch: Batch, calls: Sequence[Settlement], entries: dict[int, int]) -> None:
    rows = [(*_values(call), entries.get(call.account_id) if call.quota else None) for call in calls]
    insert_rows(batch, UsageRecord, (*_COLUMNS, "ledger_entry_id"), rows)


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
