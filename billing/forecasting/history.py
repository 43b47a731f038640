"""Hours of spending made ready for statistics: none missing, refunds taken back, as shares of their mean."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

Amount = int | Decimal

HOUR = timedelta(hours=1)
HOURS_OF_DAY = 24
HOURS_OF_WEEK = 7 * HOURS_OF_DAY
LONGEST = 8 * HOURS_OF_WEEK
"""Hours that are looked at; older ones say little about tomorrow."""
MINIMUM_HOURS = 6
"""Complete hours since the first spending; with fewer, nothing can be said."""
_MOST = 10**9
"""Times all that was spent; what is more is not told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Complete hours since the first one with spending, in units of their mean."""

    spent: Sequence[float]
    hours_of_week: Sequence[int]
    running: float
    """Spent in the hour under way."""
    left: float


def hour_of_week(at: datetime, zone: tzinfo) -> int:
    """0 is Monday's first hour on the clocks of ``zone``."""
    local = at.astimezone(zone)
    return local.weekday() * HOURS_OF_DAY + local.hour


def hour_start(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def net_hours(spent_by_hour: Iterable[tuple[datetime, Amount]], *, now: datetime) -> list[Amount]:
    """Every hour of the last weeks up to the one under way, which is the last of the list, oldest first.

    A refund takes back the latest spending before it, so that no hour is below 0.
    """
    amounts: defaultdict[int, Amount] = defaultdict(int)
    running = hour_start(now)
    for at, amount in spent_by_hour:
        amounts[-((at - running) // HOUR)] += amount
    hours: list[Amount] = []
    taken_back: Amount = 0
    for ago in range(LONGEST + 1):
        net = amounts.get(ago, 0) + taken_back
        hours.append(max(net, 0))
        taken_back = min(net, 0)
    return hours[::-1]


def history_of(hours: Sequence[Amount], *, left: Amount, now: datetime, zone: tzinfo) -> History | None:
    """
    :param hours: as ``net_hours`` gives them, with spending in one of them at least
    :returns: None if the spending began less than ``MINIMUM_HOURS`` complete hours ago
    """
    *complete, running = hours[next(index for index, amount in enumerate(hours) if amount) :]
    count = len(complete)
    if count < MINIMUM_HOURS:
        return None
    total = sum(complete)
    starts = hour_start(now) - count * HOUR
    most = total * _MOST
    return History(
        spent=[float(amount * count / total) for amount in complete],
        hours_of_week=[hour_of_week(starts + index * HOUR, zone) for index in range(count)],
        running=float(min(running, most) * count / total),
        left=float(min(left, most) * count / total),
    )
