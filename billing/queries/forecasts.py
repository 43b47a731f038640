"""When money runs out: channels' at their providers, people's quota here; from what was used by the hour."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any, TypeVar

from django.core.cache import cache
from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from billing.forecasting import Forecast, forecast_exhaustion
from billing.forecasting.history import HOUR, HOURS_OF_DAY, LONGEST, hour_start
from billing.models import BalanceKind, BalanceSnapshot, QuotaAccount, UsageDaily, UsageHourly, UsageRecord
from billing.queries.rates import RateBook

NEWEST = 10_000
"""How many of a person's calls tell their hours."""
_NANO = 10**9
_FEW = 20
"""Channels; of more it is cheaper to read all hours of all channels than to look each hour up."""
_USUAL_DAYS = 7
_HOUR_SECONDS = 3600
_BELIEF = 3
"""As many days of a person's own hours weigh as much as everybody's hours do."""
_PARTS = 10**6

Spent = tuple[datetime, int]
_Value = TypeVar("_Value")


def channel_forecast(channel_id: int, left_usd: Decimal, *, at: datetime) -> Forecast | None:
    """Tell how long what is left of a provider's account lasts.

    :param left_usd: in US dollars, as the provider told or converted
    :returns: None if calls are too new to tell
    """
    return channel_forecasts({channel_id: left_usd}, at=at)[channel_id]


def channel_forecasts(left_usd: Mapping[int, Decimal], *, at: datetime) -> dict[int, Forecast | None]:
    """The same of many channels, with one query; about ten milliseconds of computing each.

    The query looks up each hour of the last eight weeks for a few channels, and reads these weeks as a whole
    for many of them.

    :param left_usd: by channel
    """
    spent: defaultdict[int, list[Spent]] = defaultdict(list)
    for channel_id, hour, cost in costs_by_hour(left_usd, at=at):
        spent[channel_id].append((hour, cost))
    return {
        channel_id: _forecast(left * _NANO, spent[channel_id], at) for channel_id, left in left_usd.items()
    }


def balance_forecasts(
    snapshots: Mapping[int, Sequence[BalanceSnapshot]], *, at: datetime
) -> dict[int, Forecast | None]:
    """The same by what their providers told last, with one more query; None also where they do not tell.

    :param snapshots: by channel, as ``billing.queries.funds.snapshots_of`` gives them
    """
    rates, day = RateBook(), at.astimezone(UTC).date()
    told = {channel_id: left_usd(newest, rates, day) for channel_id, newest in snapshots.items()}
    known = {channel_id: left for channel_id, left in told.items() if left is not None}
    return {**dict.fromkeys(snapshots), **channel_forecasts(known, at=at)}


def left_usd(snapshots: Sequence[BalanceSnapshot], rates: RateBook, day: date) -> Decimal | None:
    """What an account can still pay for, in US dollars: what is prepaid, or its key's budget if that is less.

    What comes back with the next period does not count.

    :param snapshots: its newest ones, of each kind and currency
    :returns: None when nobody tells, or there is no limit, or a rate is missing
    """
    sums = [
        _sum_usd([one for one in snapshots if one.kind == kind and one.resets_at is None], rates, day)
        for kind in (BalanceKind.BALANCE, BalanceKind.KEY_BUDGET)
    ]
    return min((left for left in sums if left is not None), default=None)


def _sum_usd(snapshots: Sequence[BalanceSnapshot], rates: RateBook, day: date) -> Decimal | None:
    """Of one kind in all its currencies; None when one of them is not known."""
    total = Decimal(0)
    for snapshot in snapshots:
        rate = rates.rate_on(snapshot.currency, day)
        if snapshot.is_unlimited or snapshot.left is None or rate is None:
            return None
        total += snapshot.left / rate
    return total if snapshots else None


def user_forecast(user_id: int, *, at: datetime) -> Forecast | None:
    """Tell how long the quota that a person has available lasts.

    :returns: None if their first call is too new to tell
    """
    return user_forecasts([user_id], at=at)[user_id]


def account_forecast(account: QuotaAccount, *, at: datetime) -> Forecast | None:
    """The same of an account that was read already; one query, and about ten milliseconds of computing.

    Nothing sums people's use by the hour. It is put together from the last ``NEWEST`` calls, whose complete
    hours are added up once an hour, and from the daily sums. What these have beyond is of the hour under way,
    or of very busy people also from before those calls: there it is spread over the hours of each day as the
    calls are, as far as they tell, and as everybody's, which makes the interval somewhat narrow. Refunds are
    left out.

    Once an hour it takes two queries more, which an index serves, and for very busy people a third one for
    everybody's last week.
    """
    if account.available <= 0:
        return _forecast(0, [], at)
    return _forecast(account.available, spent_by_hour(account.pk, at=at), at)


def user_forecasts(user_ids: Collection[int], *, at: datetime) -> dict[int, Forecast | None]:
    """The same of many people: one query for their accounts, and for each what one costs."""
    accounts = QuotaAccount.objects.in_bulk(user_ids)
    nobody = QuotaAccount()
    return {user_id: account_forecast(accounts.get(user_id, nobody), at=at) for user_id in user_ids}


def costs_by_hour(channel_ids: Collection[int], *, at: datetime) -> QuerySet[UsageHourly, Any]:
    """Channel, hour and upstream cost in billionths of a dollar, of the weeks that a forecast uses."""
    rows = UsageHourly.objects.filter(channel_id__in=list(channel_ids))
    if len(channel_ids) <= _FEW:
        rows = rows.filter(hour__in=[_begin(at) + number * HOUR for number in range(LONGEST + 1)])
    else:
        rows = rows.filter(hour__gte=_begin(at), hour__lte=at)
    return rows.values_list("channel_id", "hour").annotate(cost=Sum("upstream_cost"))


def spent_by_hour(account_id: int, *, at: datetime) -> list[Spent]:
    """What a person used hour by hour, as exactly as it is known."""
    since, known = _once_an_hour(f"hours.{account_id}", at, lambda: known_hours(account_id, at=at))
    usual = _once_an_hour("usual_day", at, lambda: usual_day(at)) if since > _begin(at) else []
    days = dict(days_of(account_id, at=at))
    return spread(known, days, usual, since=since, until=hour_start(at), at=at)


def known_hours(account_id: int, *, at: datetime) -> tuple[datetime, list[Spent]]:
    """Hours by a person's newest calls, and since when they are complete."""
    begin, first = _begin(at), 0
    farthest = farthest_call(account_id).first()
    if farthest is not None:
        begin, first = max(begin, hour_start(farthest.created_at) + HOUR), farthest.pk
    spent = calls_by_hour(account_id, first=first)
    return begin, [(hour, quota) for hour, quota in spent if hour >= begin]


def farthest_call(account_id: int) -> QuerySet[UsageRecord]:
    """The last of the newest; none if there are fewer."""
    calls = UsageRecord.objects.filter(account_id=account_id).only("pk", "created_at")
    return calls.order_by("-pk")[NEWEST - 1 : NEWEST]


def calls_by_hour(account_id: int, *, first: int) -> QuerySet[UsageRecord, Any]:
    """Hour and quota, from a call on."""
    calls = UsageRecord.objects.filter(account_id=account_id, pk__gte=first).order_by()
    return calls.values_list(TruncHour("created_at", tzinfo=UTC)).annotate(spent=Sum("quota"))


def days_of(account_id: int, *, at: datetime) -> QuerySet[UsageDaily, Any]:
    """UTC day and quota, of the weeks that a forecast uses."""
    rows = UsageDaily.objects.filter(account_id=account_id, day__gte=_begin(at).date(), day__lte=at.date())
    return rows.values_list("day").annotate(quota=Sum("quota"))


def spread(
    known: Sequence[Spent],
    days: Mapping[date, int],
    usual: Sequence[int],
    *,
    since: datetime,
    until: datetime,
    at: datetime,
) -> list[Spent]:
    """Add to the hours that are known, from ``since`` to ``until``, what the days have beyond them.

    :param usual: how much of a day is used in each of its UTC hours, in any unit
    """
    by_hour = dict(known)
    weights = _weights(_Own.of(by_hour, since=since, until=until), usual)
    spent = list(known)
    for day, quota in days.items():
        hours = _hours_of(day, at)
        rest = quota - sum(by_hour.get(hour, 0) for hour in hours)
        unknown = [hour for hour in hours if not since <= hour < until] or hours  # charged late
        if rest > 0:
            spent += _divided(rest, unknown, weights, at)
    return spent


@dataclass(frozen=True, slots=True)
class _Own:
    """How a person used their last whole days, by UTC hour."""

    days: int
    hours: Sequence[int]

    @classmethod
    def of(cls, known: Mapping[datetime, int], *, since: datetime, until: datetime) -> "_Own":
        days = max((until - since) // timedelta(days=1), 0)
        hours = [0] * HOURS_OF_DAY
        for hour, quota in known.items():
            if until - timedelta(days=days) <= hour < until:
                hours[hour.hour] += quota
        return cls(days, hours)


def _weights(own: _Own, usual: Sequence[int]) -> list[int]:
    """By UTC hour; the more days of their own there are, the less everybody's hours count."""
    sides = [(own.hours, own.days), (usual, _BELIEF)]
    told = [(hours, belief, sum(hours)) for hours, belief in sides if belief and sum(hours)]
    if not told:
        return [1] * HOURS_OF_DAY
    return [
        sum(_PARTS * belief * hours[hour] // total for hours, belief, total in told)
        for hour in range(HOURS_OF_DAY)
    ]


def _divided(amount: int, hours: Sequence[datetime], weights: Sequence[int], at: datetime) -> Iterator[Spent]:
    """An amount by the weights of the hours of the day, to the last unit; evenly where they are all 0."""
    passed = [min(at - hour, HOUR) // timedelta.resolution for hour in hours]
    weighted = [weights[hour.hour] * part for hour, part in zip(hours, passed, strict=True)]
    ends = list(accumulate(weighted if any(weighted) else passed, initial=0))
    for hour, (begin, end) in zip(hours, pairwise(ends), strict=True):
        yield hour, amount * end // ends[-1] - amount * begin // ends[-1]


def _hours_of(day: date, at: datetime) -> list[datetime]:
    """Those that have begun."""
    midnight = datetime.combine(day, time.min, UTC)
    hours = (midnight + number * HOUR for number in range(HOURS_OF_DAY))
    return [hour for hour in hours if hour < at]


def usual_day(at: datetime) -> list[int]:
    """What everybody used in each UTC hour of the day, over the last complete days."""
    end = hour_start(at)
    rows = UsageHourly.objects.filter(hour__gte=end - timedelta(days=_USUAL_DAYS), hour__lt=end)
    hours = [0] * HOURS_OF_DAY
    for hour, quota in rows.values_list("hour").annotate(quota=Sum("quota")):
        hours[hour.hour] += quota
    return hours


def _once_an_hour(name: str, at: datetime, read: Callable[[], _Value]) -> _Value:
    """What was read within this hour already; read again where the cache is away."""
    key = f"billing.forecasts.{name}.{hour_start(at):%Y%m%d%H}"
    try:
        found: _Value | None = cache.get(key)
        if found is None:
            found = read()
            cache.set(key, found, timeout=_HOUR_SECONDS)
    except (ConnectionInterrupted, RedisError):
        return read()
    return found


def _begin(at: datetime) -> datetime:
    return hour_start(at) - LONGEST * HOUR


def _forecast(left: int | Decimal, spent: Sequence[Spent], at: datetime) -> Forecast | None:
    zone = timezone.get_default_timezone()
    return forecast_exhaustion(left=left, spent_by_hour=spent, now=at, zone=zone)
