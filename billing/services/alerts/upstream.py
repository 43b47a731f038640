"""Values of channels: what providers say, and how calls go."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet, Sum

from billing.models import (
    AlertRule,
    AlertScope,
    AlertSubject,
    BalanceKind,
    BalanceSnapshot,
    Channel,
    ChannelStatus,
    ReconciliationStatus,
    UsageHourly,
)
from billing.queries.forecasts import balance_forecasts
from billing.queries.funds import reconciliations_of, snapshots_of
from billing.services.alerts.readings import Look, Reading
from billing.services.alerts.times import AN_HOUR, hour_of, hours_left, share_of_hour_before
from billing.services.reconciling import percent_of
from billing.services.snapshots import newest_snapshots

_NANODOLLARS = 10**9
_Snapshots = Sequence[BalanceSnapshot]


def watched_channels() -> QuerySet[Channel]:
    """Those that operators have not disabled themselves."""
    return Channel.objects.exclude(status=ChannelStatus.MANUALLY_DISABLED).order_by("pk")


# --- What providers say -----------------------------------------------------------------------


def balances(look: Look, rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """What is left of a prepaid balance; of several currencies, the one of which most is left."""
    for channel, snapshots in _told(look, rules):
        told = [one for one in snapshots if one.kind == BalanceKind.BALANCE and not one.is_unlimited]
        left = [(one.left, one.currency) for one in told if one.left is not None]
        if left:
            value, currency = max(left)
            yield _of(channel, value, currency=currency)


def limits_used(look: Look, rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """How much of a spend limit or a key's budget is used, in percent; of several, the fullest."""
    for channel, snapshots in _told(look, rules):
        used = [
            (100 * (one.limit - one.left) / one.limit, _period(one))
            for one in snapshots
            if one.kind != BalanceKind.BALANCE and one.limit and one.left is not None
        ]
        if used:
            value, period = max(used)
            yield _of(channel, value, period=period)


def _period(snapshot: BalanceSnapshot) -> str:
    """By its last day: some providers tell how many seconds are left, never quite the same moment."""
    return snapshot.resets_at.date().isoformat() if snapshot.resets_at else ""


def _told(look: Look, rules: Sequence[AlertRule]) -> Iterator[tuple[Channel, _Snapshots]]:
    """The channels that were asked since the last look, and all that are new to a rule."""
    added = BalanceSnapshot.objects.filter(pk__gt=look.snapshots.after).values_list("channel", flat=True)
    asked = {*added, *(snapshot.channel_id for snapshot in _new_to(rules))}
    by_channel: dict[int, list[BalanceSnapshot]] = defaultdict(list)
    for snapshot in newest_snapshots(list(asked)):  # all that is known: what is the same is not written again
        by_channel[snapshot.channel_id].append(snapshot)
    for channel in watched_channels().filter(pk__in=list(by_channel)):
        yield channel, by_channel[channel.pk]


def _new_to(rules: Sequence[AlertRule]) -> Iterable[BalanceSnapshot]:
    fresh = [rule for rule in rules if rule.evaluated_at is None]
    if any(rule.scope == AlertScope.ALL_CHANNELS for rule in fresh):
        return newest_snapshots()
    return newest_snapshots([rule.channel_id for rule in fresh if rule.channel_id]) if fresh else []


def drifts(_look: Look, _rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """How far provider and metering were apart in the newest interval, in percent of the larger side."""
    channels = list(watched_channels())
    newest = reconciliations_of([channel.pk for channel in channels])
    for channel in channels:
        compared = newest.get(channel.pk)
        if compared is not None and compared.drift is not None:
            is_drift = compared.status == ReconciliationStatus.DRIFT
            yield _of(
                channel,
                abs(percent_of(compared) or Decimal(0)) if is_drift else Decimal(0),
                drift=f"{compared.drift.normalize():f}",
                currency=compared.currency,
            )


def disabled(_look: Look, _rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """1 for those that disabled themselves."""
    for channel in watched_channels():
        is_off = channel.status == ChannelStatus.AUTO_DISABLED
        yield _of(channel, Decimal(int(is_off)), reason=channel.disabled_reason)


def forecasts(look: Look, rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """How many hours what is left will last."""
    channels = watched_channels()
    if not any(rule.scope == AlertScope.ALL_CHANNELS for rule in rules):
        channels = channels.filter(pk__in=[rule.channel_id for rule in rules if rule.channel_id])
    by_id = {channel.pk: channel for channel in channels}
    expected = balance_forecasts(snapshots_of(list(by_id)), at=look.at)
    for channel_id, forecast in expected.items():
        if forecast is not None:
            yield _of(by_id[channel_id], hours_left(forecast.expected))


# --- How calls go -----------------------------------------------------------------------------


@dataclass(slots=True)
class _LastHour:
    """Of the hour before the running one as much counts as belongs to the last sixty minutes."""

    calls: Decimal = Decimal(0)
    failed: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)


def error_rates(look: Look, _rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """How many calls of the last hour failed upstream, in percent."""
    last_hour = _last_hour(look)
    for channel in watched_channels():
        hour = last_hour[channel.pk]
        yield _of(channel, _percent(hour.failed, hour.calls), calls=int(hour.calls))


def costs_per_hour(look: Look, _rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """What the calls of the last hour cost with the provider, in US dollars."""
    last_hour = _last_hour(look)
    for channel in watched_channels():
        yield _of(channel, last_hour[channel.pk].cost / _NANODOLLARS)


def _last_hour(look: Look) -> dict[int, _LastHour]:
    running, before = hour_of(look.at), share_of_hour_before(look.at)
    sums = (
        UsageHourly.objects.filter(hour__in=(running, running - AN_HOUR))
        .values_list("hour", "channel_id")
        .annotate(Sum("request_count"), Sum("failure_count"), Sum("upstream_cost"))
    )
    found: dict[int, _LastHour] = defaultdict(_LastHour)
    for hour, channel_id, calls, failed, cost in sums:
        share = Decimal(1) if hour == running else before
        found[channel_id].calls += calls * share
        found[channel_id].failed += failed * share
        found[channel_id].cost += cost * share
    return found


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    if whole:
        return 100 * part / whole
    return Decimal(100) if part else Decimal(0)


def _of(
    channel: Channel, value: Decimal, *, period: str = "", calls: int | None = None, **facts: str
) -> Reading:
    return Reading(
        subject_type=AlertSubject.CHANNEL,
        subject_id=channel.pk,
        subject_name=channel.name,
        value=value,
        period=period,
        calls=calls,
        facts={name: fact for name, fact in facts.items() if fact},
    )
