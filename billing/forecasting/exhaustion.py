"""From levels and the pattern to a point in time."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from billing.forecasting.history import (
    HOUR,
    Amount,
    history_of,
    hour_of_week,
    hour_start,
    net_hours,
)
from billing.forecasting.levels import Outlook, outlooks
from billing.forecasting.pattern import week_pattern

HORIZON = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How long what is left will last; None is longer than the horizon.

    Eight times of ten it is between ``earliest`` and ``latest``.
    """

    expected: timedelta | None
    earliest: timedelta | None
    latest: timedelta | None


_NEVER = Forecast(expected=None, earliest=None, latest=None)
_NOW = Forecast(expected=timedelta(0), earliest=timedelta(0), latest=timedelta(0))


def forecast_exhaustion(
    *,
    left: Amount,
    spent_by_hour: Sequence[tuple[datetime, Amount]],
    now: datetime,
    zone: tzinfo = UTC,
) -> Forecast | None:
    """Tell how long ``left`` lasts if spending goes on as it used to.

    :param left: in the same unit as the spending, whichever it is
    :param spent_by_hour: starts of UTC hours and what was spent in them, less refunds; hours without spending
        may be missing. The hour under way may be among them with what it has cost so far. The eight weeks
        before it are used
    :param zone: where the spenders' days and weeks begin
    :returns: a forecast of never if nothing was spent; None if spending began less than ``MINIMUM_HOURS``
        complete hours ago
    """
    if left <= 0:
        return _NOW
    hours = net_hours(spent_by_hour, now=now)
    if not any(hours):
        return _NEVER
    history = history_of(hours, left=left, now=now, zone=zone)
    if history is None:
        return None
    week = week_pattern(history.spent, history.hours_of_week)
    running = hour_start(now)
    passed = (now - running) / HOUR
    ahead = outlooks(
        history.spent,
        [week[hour] for hour in history.hours_of_week],
        running=history.running,
        portion=week[hour_of_week(running, zone)] * passed,
    )
    return _walk(history.left, ahead, _coming(week, now, zone))


def _coming(week: Sequence[float], now: datetime, zone: tzinfo) -> Iterator[tuple[float, float]]:
    """The end of each coming hour, in hours from now, and the pattern's sum until then."""
    running, passed = hour_start(now), (now - hour_start(now)) / HOUR
    total = -passed * week[hour_of_week(running, zone)]
    for ahead in range(HORIZON // HOUR):
        total += week[hour_of_week(running + ahead * HOUR, zone)]
        yield ahead + 1 - passed, total


def _walk(left: float, ahead: Sequence[Outlook], coming: Iterable[tuple[float, float]]) -> Forecast:
    least, middle, most = curves = _Curve(left), _Curve(left), _Curve(left)
    begin = 0.0
    for end, pattern in coming:
        for curve, level in zip(curves, _levels(ahead, end), strict=True):
            curve.follow(begin=begin, end=end, spent=level * pattern)
        if least.reached is not None:
            break
        begin = end
    return Forecast(expected=middle.duration, earliest=most.duration, latest=least.duration)


@dataclass(slots=True)
class _Curve:
    """Spending from now on, followed until it comes to what is left."""

    left: float
    spent: float = 0.0
    reached: float | None = None

    def follow(self, *, begin: float, end: float, spent: float) -> None:
        if self.reached is not None:
            return
        if spent >= self.left:
            part = (self.left - self.spent) / (spent - self.spent) if spent > self.spent else 0.0
            self.reached = begin + part * (end - begin)
        self.spent = spent

    @property
    def duration(self) -> timedelta | None:
        return None if self.reached is None else timedelta(hours=self.reached)


def _levels(ahead: Sequence[Outlook], hours: float) -> tuple[float, float, float]:
    """Low, middle and high level until then, between those of the distances next to it."""
    index = bisect_left(ahead, hours, key=lambda outlook: outlook.hours)
    after = ahead[min(index, len(ahead) - 1)]
    before = ahead[max(index - 1, 0)]
    part = (hours - before.hours) / (after.hours - before.hours) if after.hours > before.hours else 0.0
    return (
        before.low + (after.low - before.low) * part,
        before.middle + (after.middle - before.middle) * part,
        before.high + (after.high - before.high) * part,
    )
