"""Days as people name them."""

from datetime import date, datetime, time

from django.utils import timezone


def midnight(day: date) -> datetime:
    """When a day begins, in the current time zone."""
    return timezone.make_aware(datetime.combine(day, time.min))
