"""When somebody is told: at once, after the night, or with everything else that was collected."""

from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings

from billing.models import AlertRule, AlertSeverity

A_DAY: Final = 24 * 60
"""In minutes: a digest that comes once a day."""
DIGEST_AT: Final = time(9)
"""When it comes unless the rule says otherwise."""


def due_at(rule: AlertRule, *, severity: str, at: datetime) -> datetime:
    """When a receiver of a rule's alerts may be told of one; what is critical waits for nothing."""
    if severity == AlertSeverity.CRITICAL:
        return at
    return after_quiet_hours(rule, at=_end_of_collecting(rule, at))


def after_quiet_hours(rule: AlertRule, *, at: datetime) -> datetime:
    """The time itself, or the end of the quiet hours that it is in."""
    begin, end = rule.quiet_from, rule.quiet_until
    if begin is None or end is None or begin == end:
        return at
    zone = zone_of(rule)
    local = at.astimezone(zone)
    now = local.time()
    is_quiet = begin <= now < end if begin < end else now >= begin or now < end
    return _next(end, local, zone) if is_quiet else at


def zone_of(rule: AlertRule) -> tzinfo:
    return ZoneInfo(rule.time_zone or settings.TIME_ZONE)


def _end_of_collecting(rule: AlertRule, at: datetime) -> datetime:
    """The end of the portion of the day, by the receiver's clock, in which it is."""
    minutes = rule.digest_minutes
    if not minutes:
        return at
    zone = zone_of(rule)
    local = at.astimezone(zone)
    if minutes >= A_DAY:
        return _next(rule.digest_at or DIGEST_AT, local, zone)
    passed = local.hour * 60 + local.minute
    rest = timedelta(
        minutes=minutes - passed % minutes, seconds=-local.second, microseconds=-local.microsecond
    )
    return at + rest


def _next(moment: time, local: datetime, zone: tzinfo) -> datetime:
    """When a clock will next show a time of day."""
    today = datetime.combine(local.date(), moment, zone)
    if today.astimezone(UTC) > local.astimezone(UTC):
        return today.astimezone(UTC)
    return datetime.combine(local.date() + timedelta(days=1), moment, zone).astimezone(UTC)
