"""The kinds of values that the API takes and gives, with their ranges."""

import re
from datetime import UTC, datetime
from typing import Annotated

from ninja import Path, Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer

from oneapi_admin.lib.quota import MAX_QUOTA

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]")
MAX_ID = 2**63 - 1


def _storable(text: str) -> str:
    """Text as both databases take it: neither NUL nor half a character."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must not contain NUL or unpaired surrogates")
    return text


def _moment(value: object) -> object:
    """A number is no time: RFC 3339 only."""
    is_moment = _RFC_3339.match(value) if isinstance(value, str) else isinstance(value, datetime | None)
    if not is_moment:
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return value


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Body(Schema, extra="forbid", strict=True):
    """What a request brings: nothing unknown, and nothing taken for what it is not, such as "5" for 5."""


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, Field(min_length=1, max_length=64, pattern=r"\S")]
Email = Annotated[
    Text,
    Field(
        max_length=254,
        pattern=r"^$|^[A-Za-z0-9_%+-]{1,32}(\.[A-Za-z0-9_%+-]{1,31})?@([A-Za-z0-9]{1,32}\.){1,4}[A-Za-z]{2,12}$",
        examples=["ann@example.com"],
        description="Empty for none.",
    ),
]
Memo = Annotated[Text, Field(max_length=255, description="Shown in the statement.")]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
PathId = Annotated[int, Path(ge=1, le=MAX_ID)]
Quota = Annotated[
    int, Field(ge=-MAX_QUOTA, le=MAX_QUOTA, description="Quota units, 500,000 to the US dollar.")
]
PositiveQuota = Annotated[
    int, Field(ge=1, le=MAX_QUOTA, description="Quota units, 500,000 to the US dollar.", examples=[500_000])
]
Time = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_moment), PlainSerializer(_utc, return_type=str)
]
"""A moment with its offset, given back in UTC."""
