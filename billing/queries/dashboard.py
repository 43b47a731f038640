"""The operators' dashboard: both quotas, what is used, and what is left to set up."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.db.models.functions import TruncDay
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Token, User
from billing.models import (
    BalanceKind,
    Channel,
    ChannelStatus,
    EntryKind,
    LedgerEntry,
    QuotaAccount,
    UsageHourly,
    UsageRecord,
)
from billing.queries.channels import ChannelRow, nano_to_quota
from billing.queries.ledger import visible_entries
from billing.queries.rates import RateBook
from oneapi_admin.lib.quota import QUOTA_PER_USD, to_usd

CHART_DAYS = 7
CHART_MODELS = 5
RECENT = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSteps:
    """What there has to be before the first call is answered and paid."""

    has_channel: bool
    has_quota: bool
    has_token: bool
    has_call: bool

    @property
    def is_done(self) -> bool:
        return self.has_channel and self.has_quota and self.has_token and self.has_call


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """What people have with us, and what we have with the providers. Amounts are quota units."""

    owed: int
    held: int
    overdrawn: int
    """What people below zero owe us; part of ``owed`` with its sign."""
    upstream: int
    """All balances that are known, in US dollars or at the day's exchange rate."""
    sandbox: int
    """The part of ``upstream`` that is play money."""
    known: int
    unknown: int
    """How many enabled channels tell no balance, or only a key's budget; they are not in ``upstream``."""
    unlimited: int
    stale: int
    others: dict[str, Decimal]
    """Balances in currencies without an exchange rate, in those; they are not in ``upstream``."""
    by_channel: dict[int, int]
    """What makes up ``upstream``, by the channels' numbers."""

    @property
    def difference(self) -> int:
        return self.upstream - self.owed

    @property
    def cover_percent(self) -> int | None:
        """How much of what people have is held with providers; None where nobody has anything."""
        return None if self.owed <= 0 else 100 * self.upstream // self.owed


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Sums over all calls of a time; amounts are quota units."""

    calls: int
    failures: int
    quota: int
    cost: int

    @property
    def margin(self) -> int:
        return self.quota - self.cost

    @property
    def failure_percent(self) -> Decimal:
        return Decimal(100 * self.failures) / self.calls if self.calls else Decimal(0)


def first_steps() -> FirstSteps:
    return FirstSteps(
        has_channel=Channel.objects.filter(status=ChannelStatus.ENABLED).exists(),
        has_quota=LedgerEntry.objects.exists(),
        has_token=Token.objects.exists(),
        has_call=UsageRecord.objects.exists(),
    )


def sides(rows: Sequence[ChannelRow], *, at: datetime) -> Sides:
    """Both quotas; ``rows`` are all channels."""
    rates, day = RateBook(), at.astimezone(UTC).date()
    people = QuotaAccount.objects.aggregate(owed=Sum("balance"), held=Sum("held"))
    below = QuotaAccount.objects.filter(balance__lt=0).aggregate(total=Sum("balance"))["total"]
    sandbox, others, by_channel = 0, defaultdict[str, Decimal](Decimal), defaultdict[int, int](int)
    known = unknown = unlimited = stale = 0
    for row in rows:
        told = [one for one in row.funds.snapshots if one.kind == BalanceKind.BALANCE]
        balances = [one for one in told if one.left is not None and not one.is_unlimited]
        if any(one.is_unlimited for one in told):
            unlimited += 1
        elif not balances:
            unknown += row.channel.is_enabled
        else:
            known, stale = known + 1, stale + row.funds.is_stale
        for balance in balances:
            rate, left = rates.rate_on(balance.currency, day), balance.left or Decimal(0)
            if rate is None:
                others[balance.currency] += left
                continue
            quota = int(left / rate * QUOTA_PER_USD)
            by_channel[row.channel.pk] += quota
            sandbox += quota if row.channel.is_sandbox else 0
    return Sides(
        owed=people["owed"] or 0,
        held=people["held"] or 0,
        overdrawn=-(below or 0),
        upstream=sum(by_channel.values()),
        sandbox=sandbox,
        known=known,
        unknown=unknown,
        unlimited=unlimited,
        stale=stale,
        others=dict(sorted(others.items())),
        by_channel=dict(by_channel),
    )


def use_since(moment: datetime) -> Use:
    """Everything used since a moment, by whole hours."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    names = ("request_count", "failure_count", "quota", "upstream_cost")
    sums = UsageHourly.objects.filter(hour__gte=hour).aggregate(**{name: Sum(name) for name in names})
    return Use(
        calls=sums["request_count"] or 0,
        failures=sums["failure_count"] or 0,
        quota=sums["quota"] or 0,
        cost=nano_to_quota(sums["upstream_cost"] or 0),
    )


def start_of_day(at: datetime) -> datetime:
    """Midnight in the site's time zone."""
    return timezone.localtime(at).replace(hour=0, minute=0, second=0, microsecond=0)


def top_models(*, since: datetime) -> list[dict[str, Any]]:
    """The models that earned most since a moment; ``cost`` and ``quota`` in quota units."""
    names = ("request_count", "failure_count", "quota", "upstream_cost")
    rows = (
        UsageHourly.objects.filter(hour__gte=since)
        .values("model")
        .annotate(**{name: Sum(name) for name in names})
    )
    found = list(rows.order_by("-quota", "-request_count", "model")[:RECENT])
    return [{**row, "cost": nano_to_quota(row["upstream_cost"])} for row in found]


def chart(*, at: datetime) -> dict[str, list[Any]]:
    """Dollars charged by day and model over the last days, as ``labels`` and ``series``."""
    today = start_of_day(at)
    days = [(today - timedelta(days=back)).date() for back in range(CHART_DAYS - 1, -1, -1)]
    hours = UsageHourly.objects.filter(hour__gte=today - timedelta(days=CHART_DAYS - 1))
    rows = hours.annotate(day=TruncDay("hour")).values_list("model", "day").annotate(total=Sum("quota"))
    sums: dict[str, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
    for model, day, total in rows.order_by("model"):
        sums[model][day.date()] += total
    ranked = sorted(
        (name for name in sums if any(sums[name].values())), key=lambda name: -sum(sums[name].values())
    )
    lines = [(name, [sums[name]]) for name in ranked[:CHART_MODELS]]
    if len(ranked) > CHART_MODELS:
        lines.append((_("Others"), [sums[name] for name in ranked[CHART_MODELS:]]))
    series = [
        {"label": label, "values": [_dollars(sum(part.get(day, 0) for part in parts)) for day in days]}
        for label, parts in lines
    ]
    return {"labels": [f"{day:%m-%d}" for day in days], "series": series}


def recent_credits(actor: User) -> list[LedgerEntry]:
    """The last top-ups and redemptions that the actor may see."""
    entries = visible_entries(actor).filter(kind__in=[EntryKind.TOP_UP, EntryKind.REDEMPTION])
    return list(entries.order_by("-pk")[:RECENT])


def _dollars(quota: int) -> float:
    """For drawing only."""
    return float(round(to_usd(quota), 4))
