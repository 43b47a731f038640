"""What was added to an append-only table since it was last looked at.

Ids are given before a transaction commits, so that a smaller one may become visible after a larger one.
What was added within a minute before the last look is therefore looked at again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import models
from django.db.models import Max

from billing.models import AlertCursor

OVERLAP: Final = timedelta(minutes=1)
"""No transaction that adds to these tables takes longer."""
_Mark = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Feed:
    name: str
    after: int
    """Ids that are larger may not have been looked at."""
    newest: int


def open_feed(name: str, rows: models.QuerySet[Any]) -> Feed:
    """Begin a look; the first one ever has nothing to look at.

    :param rows: all that there are
    """
    marks = _marks(name)
    newest: int = rows.aggregate(newest=Max("pk"))["newest"] or 0
    return Feed(name, _settled(marks)[1] if marks else newest, newest)


def close_feed(feed: Feed, *, at: datetime) -> None:
    """Note that everything was looked at; while nobody does, the next look begins where this one did."""
    marks = [mark for mark in _marks(feed.name) if mark[0] != at]
    marks = sorted([*marks, (at, feed.newest)])
    kept = [mark for mark in marks if mark >= _settled(marks)]
    stored = [[moment.isoformat(), position] for moment, position in kept]
    AlertCursor.objects.update_or_create(name=feed.name, defaults={"marks": stored})


def _marks(name: str) -> list[_Mark]:
    cursor = AlertCursor.objects.filter(name=name).first()
    stored = cursor.marks if cursor else []
    return [(datetime.fromisoformat(moment), position) for moment, position in stored]


def _settled(marks: Sequence[_Mark]) -> _Mark:
    """The newest mark at which everything was visible that had an id, when somebody last looked."""
    last, _position = max(marks)
    old = [mark for mark in marks if mark[0] <= last - OVERLAP]
    return max(old) if old else min(marks)
