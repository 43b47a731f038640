"""What is told of each thing that is looked at."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from django.utils.timesince import timesince
from django.utils.timezone import now
from django.utils.translation import gettext as _

Fact = int | float | str | bool | None


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


_ORDER = list(State)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing: how it is, and what to do when it is not well."""

    code: str
    title: str
    state: State
    value: str
    advice: str = ""
    """Empty when there is nothing to do."""
    facts: dict[str, Fact] = field(default_factory=dict)
    """The numbers behind it, for programs; times in seconds since 1970."""


def worst(states: Iterable[State]) -> State:
    return max(states, key=_ORDER.index, default=State.OK)


def duration(seconds: float) -> str:
    """How long, in words; seconds where it is less than two minutes."""
    if seconds < 120:
        return _("%(count)s s") % {"count": max(0, round(seconds))}
    moment = now()
    return timesince(moment - timedelta(seconds=seconds), moment, depth=1)
