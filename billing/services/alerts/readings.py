"""What rules are compared with: values of channels, users, tokens and the installation."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from billing.models import AlertRule, AlertScope, AlertSubject
from billing.services.alerts.feeds import Feed

_MARGIN = Decimal("0.05")
"""A value has to come back by this share of the threshold before it has recovered."""


class Unit(Enum):
    PERCENT = "percent"
    USD = "usd"
    CURRENCY = "currency"
    HOURS = "hours"
    COUNT = "count"
    YES = "yes"
    """1 or 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One value of one subject."""

    subject_type: AlertSubject
    subject_id: int
    subject_name: str
    value: Decimal
    user_id: int | None = None
    """Whose quota it is about."""
    period: str = ""
    """What the value is counted over, where it begins again from time to time."""
    calls: int | None = None
    """How many calls it is based on, where that matters."""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One evaluation: when it is made, and since when things may have changed unseen."""

    at: datetime
    entries: Feed
    snapshots: Feed


ReadChannels = Callable[[Look, Sequence[AlertRule]], Iterable[Reading]]
ReadUsers = Callable[[Look, Sequence[int]], Iterable[Reading]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of rule is about, and how its values are had."""

    unit: Unit
    scopes: Sequence[AlertScope]
    is_above: bool = True
    """Whether it is told of values that are too large, or of those that are too small."""
    read: ReadChannels | None = None
    """The values of everything but people."""
    read_users: ReadUsers | None = None
    """The values of people, who are many: only of those whose quota moved."""
    is_decaying: bool = False
    """Whether it recovers by itself as time goes by, though nothing moves."""
    every_s: int = 0
    """Where it is costly: how much later it is looked at again."""
    default_thresholds: Sequence[str] = ()

    @property
    def is_yes_or_no(self) -> bool:
        return self.unit == Unit.YES

    def is_beyond(self, value: Decimal, threshold: Decimal) -> bool:
        return value >= threshold if self.is_above else value <= threshold

    def has_recovered(self, value: Decimal, threshold: Decimal) -> bool:
        """Whether it came back, and not only by a hair: a value that dances on a threshold is told once."""
        margin = abs(threshold) * _MARGIN
        return value < threshold - margin if self.is_above else value > threshold + margin
