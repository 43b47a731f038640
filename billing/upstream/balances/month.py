"""The calendar month that providers count spend over, in UTC."""

from datetime import UTC, datetime, timedelta


def month_start(now: datetime) -> datetime:
    """The first moment of the month."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(now: datetime) -> datetime:
    """The first moment of the month after."""
    return (month_start(now) + timedelta(days=31)).replace(day=1)


def tomorrow(now: datetime) -> datetime:
    """The end of the day, as a provider wants it that leaves the last day out."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
