"""Lists: paged by key, newest or oldest first."""

from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar

from django.db.models import QuerySet
from ninja import Schema
from pydantic import Field

from oneapi_admin.lib.pagination import page_of

Item = TypeVar("Item")


class PageQuery(Schema):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=200, description="How many items.")
    cursor: int | None = Field(
        None, ge=1, lt=10**18, description="The `next_cursor` of the page before; none for the first."
    )
    order: Literal["-id", "id"] = Field("-id", description="`-id` newest first, `id` oldest first.")


class PageOut(Schema, Generic[Item]):
    items: list[Item]
    next_cursor: str | None = Field(description="For `cursor`, to go on; null on the last page.")


def page(queryset: QuerySet[Any], query: PageQuery, out: Callable[[Any], Item]) -> dict[str, object]:
    """One page of a queryset in the shape of ``PageOut``."""
    cursor = None if query.cursor is None else str(query.cursor)
    found = page_of(queryset, cursor=cursor, size=query.limit, is_oldest_first=query.order == "id")
    return {"items": [out(row) for row in found.items], "next_cursor": found.next_cursor}
