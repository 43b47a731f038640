"""Reading what providers took against what was metered, and why the two may differ."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils.translation import gettext_lazy as _

from billing import catalogue
from billing.models import (
    Channel,
    Reconciliation,
    ReconciliationStatus,
    UsageRecord,
    UsageSource,
)
from billing.services.reconciling import percent_of
from oneapi_admin.lib.pagination import pages_of

CHART_POINTS = 60
LONGEST_CALL = timedelta(minutes=15)
STEADY_INTERVALS = 5
"""So many drifts in a row of much the same share are a wrong price, and not calls past us."""
STEADY_PERCENT = Decimal(3)
CSV_HEADER = (
    *("id", "channel_id", "kind", "currency", "began_at", "ended_at", "taken", "recharged", "metered"),
    *("drift", "drift_percent", "tolerance_percent", "status"),
)


class Cause(models.TextChoices):
    """What a drift may come from, the likeliest first."""

    RECHARGE = "recharge", _("The account was recharged; what was taken meanwhile is assumed.")
    MULTIPLIER = (
        "cost_multiplier",
        _("Intervals in a row differ by much the same share: the cost multiplier is likely wrong."),
    )
    MISSING_USAGE = (
        "missing_usage",
        _("The provider reported no usage for some calls; ours are estimates."),
    )
    PRICE_OVERRIDE = (
        "price_override",
        _("Some models are in no price list: what callers pay was taken for what the provider takes."),
    )
    CACHED_TOKENS = (
        "cached_tokens",
        _("Some prompts were cached: the provider may take another price for them."),
    )
    CALLS_IN_FLIGHT = (
        "calls_in_flight",
        _("Calls were under way at the end; the next interval may even it out."),
    )
    CALLS_OUTSIDE = (
        "calls_outside",
        _("The account is used by others too: with the same key, or with another one of it."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The calls that were metered in an interval."""

    count: int
    estimated: int
    """Those without usage from the provider."""
    cached_tokens: int
    unlisted: Sequence[str]
    """The models that no price list has."""
    in_flight: int
    """Those that began before the end and ended after it."""


def reconciliations(
    *,
    channel_id: int | None = None,
    status: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Reconciliation]:
    """Intervals, narrowed to those of a channel, in a status, or that ended within a time.

    :param until: the first moment that does not belong to it
    """
    conditions: dict[str, Any] = {
        "channel": channel_id,
        "status": status if status in ReconciliationStatus.values else None,
        "ended_at__gte": since,
        "ended_at__lt": until,
    }
    found = Reconciliation.objects.select_related("channel")
    return found.filter(**{name: value for name, value in conditions.items() if value is not None})


def calls_of(row: Reconciliation) -> QuerySet[UsageRecord]:
    """The calls that were metered in an interval, newest first."""
    return calls_between(row.channel_id, row.began_at, row.ended_at).order_by("-pk")


def describe_calls(row: Reconciliation) -> Calls:
    """Sums over the calls of an interval."""
    found = calls_of(row).order_by()
    sums = found.aggregate(
        count=Count("pk"),
        estimated=Count("pk", filter=Q(usage_source=UsageSource.ESTIMATED)),
        cached=Sum("cached_tokens"),
    )
    served = set(found.values_list("served_model", flat=True).distinct())
    after = calls_between(row.channel_id, row.ended_at, row.ended_at + LONGEST_CALL)
    spans = after.values_list("created_at", "duration_ms")
    return Calls(
        count=sums["count"],
        estimated=sums["estimated"],
        cached_tokens=sums["cached"] or 0,
        unlisted=sorted(
            model for model in served if catalogue.find_rate(model=model, at=row.ended_at) is None
        ),
        in_flight=sum(ended - timedelta(milliseconds=took) <= row.ended_at for ended, took in spans),
    )


def causes(row: Reconciliation, calls: Calls) -> list[Cause]:
    """What the drift of an interval may come from, the likeliest first; nothing where there is none."""
    if row.status != ReconciliationStatus.DRIFT:
        return [Cause.RECHARGE] if row.is_recharge_assumed else []
    likely = {
        Cause.MULTIPLIER: _is_steady(row),
        Cause.MISSING_USAGE: calls.estimated > 0,
        Cause.PRICE_OVERRIDE: bool(calls.unlisted),
        Cause.CACHED_TOKENS: calls.cached_tokens > 0,
        Cause.CALLS_IN_FLIGHT: calls.in_flight > 0,
        Cause.CALLS_OUTSIDE: row.drift is not None and row.drift > 0,
    }
    return [cause for cause, is_likely in likely.items() if is_likely]


def chart(channel: Channel, *, kind: str, currency: str) -> dict[str, list[Any]]:
    """The last intervals of a channel for drawing: labels, the balance, and what was taken and metered."""
    rows = Reconciliation.objects.filter(channel=channel, kind=kind, currency=currency)
    newest = list(rows.select_related("last").order_by("-pk")[:CHART_POINTS])[::-1]
    return {
        "times": [row.ended_at for row in newest],
        "balance": [_drawn(row.last.left) for row in newest],
        "taken": [_drawn(row.taken) for row in newest],
        "metered": [_drawn(row.metered) for row in newest],
        "drift": [_drawn(row.drift) for row in newest],
    }


def csv_rows(found: QuerySet[Reconciliation]) -> Iterator[Sequence[object]]:
    """Intervals as lines of a file, newest first."""
    for page in pages_of(found):
        for row in page:
            yield (
                *(row.pk, row.channel_id, row.kind, row.currency, row.began_at, row.ended_at),
                *(_cell(row.taken), _cell(row.recharged), _cell(row.metered), _cell(row.drift)),
                *(_cell(percent_of(row)), _cell(row.tolerance), row.status),
            )


def calls_between(channel_id: int, after: datetime, until: datetime) -> QuerySet[UsageRecord]:
    """The calls of a channel within a time.

    Written so that the index of times serves it: by that of channels all calls of one would be read.
    """
    within = UsageRecord.objects.filter(created_at__gt=after, created_at__lte=until)
    return within.annotate(of_channel=F("channel_id") + 0).filter(of_channel=channel_id).order_by()


def _is_steady(row: Reconciliation) -> bool:
    """Whether this interval and those before it drift by much the same share."""
    before = Reconciliation.objects.filter(
        channel=row.channel_id, kind=row.kind, currency=row.currency, pk__lte=row.pk
    )
    shares = [percent_of(one) for one in before.order_by("-pk")[:STEADY_INTERVALS]]
    known = [share for share in shares if share is not None]
    return len(known) == STEADY_INTERVALS and max(known) - min(known) <= STEADY_PERCENT


def _drawn(amount: Decimal | None) -> float | None:
    """For drawing only."""
    return None if amount is None else float(amount)


def _cell(amount: Decimal | None) -> Decimal | str:
    return "" if amount is None else amount
