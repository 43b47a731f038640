"""Hours, as rules count them."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

AN_HOUR: Final = timedelta(hours=1)
_NEVER: Final = Decimal(24 * 365)
"""Longer than any forecast looks ahead."""


def hours_left(expected: timedelta | None) -> Decimal:
    """Of a forecast; None is longer than it looks ahead."""
    return _NEVER if expected is None else Decimal(int(expected.total_seconds())) / 3600


def hour_of(at: datetime) -> datetime:
    """When its hour began."""
    return at.replace(minute=0, second=0, microsecond=0)


def share_of_hour_before(at: datetime) -> Decimal:
    """How much of the hour before belongs to the last sixty minutes."""
    passed = at - hour_of(at)
    return 1 - Decimal(int(passed.total_seconds())) / 3600
