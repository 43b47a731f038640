"""Days as people name them."""

from datetime import date, datetime, time, timedelta

from django.utils import timezone


def midnight(day: date) -> datetime:
    """When a day begins, in the current time zone."""
    return timezone.make_aware(datetime.combine(day, time.min))


def end_of(day: date) -> datetime | None:
    """The first moment that does not belong to a day; None for a day that no other one follows."""
    return None if day >= date.max - timedelta(days=1) else midnight(day + timedelta(days=1))
