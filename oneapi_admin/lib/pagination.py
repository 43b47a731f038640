"""Lists paged by key: any page costs what the first costs, and rows never shift between pages."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

PAGE_SIZE = 50
_TIME_CURSOR = re.compile(r"([0-9]{1,16})-([0-9]{1,18})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next_cursor: str | None
    """Pass it back as ``cursor`` to go on; None on the last page."""


def page_of(
    queryset: QuerySet[Any], *, cursor: str | None, size: int = PAGE_SIZE, is_oldest_first: bool = False
) -> "Page[Any]":
    """Return one page of a queryset, newest primary key first unless told otherwise.

    An unreadable cursor is taken as the first page: it can only come from a mangled link.
    """
    rows = queryset.order_by("pk" if is_oldest_first else "-pk")
    if cursor and cursor.isascii() and cursor.isdigit() and len(cursor) <= 18:
        rows = rows.filter(**{"pk__gt" if is_oldest_first else "pk__lt": int(cursor)})
    found = list(rows[: size + 1])
    return Page(items=found[:size], next_cursor=str(found[size - 1].pk) if len(found) > size else None)


def page_by_time(
    queryset: QuerySet[Any], *, field: str, cursor: str | None, size: int = PAGE_SIZE
) -> "Page[Any]":
    """Return one page of a queryset, newest first by a time and, where that is the same, by primary key.

    For lists that are narrowed to a span of time, with an index on both. An unreadable cursor is taken as
    the first page.
    """
    rows = queryset.order_by(f"-{field}", "-pk")
    if cursor and (read := _TIME_CURSOR.fullmatch(cursor)):
        at = _EPOCH + timedelta(microseconds=int(read[1]))
        rows = rows.filter(**{f"{field}__lte": at}).exclude(**{field: at, "pk__gte": int(read[2])})
    found = list(rows[: size + 1])
    if len(found) <= size:
        return Page(items=found, next_cursor=None)
    last = found[size - 1]
    microseconds = (getattr(last, field) - _EPOCH) // timedelta(microseconds=1)
    return Page(items=found[:size], next_cursor=f"{microseconds}-{last.pk}")


def pages_of(queryset: QuerySet[Any], *, size: int = 1000) -> Iterator[list[Any]]:
    """Yield the rows of a long queryset in portions, newest first, each read by a query of its own.

    A slow download so keeps no transaction and no cursor open.
    """
    cursor: str | None = None
    while True:
        page = page_of(queryset, cursor=cursor, size=size)
        yield page.items
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
