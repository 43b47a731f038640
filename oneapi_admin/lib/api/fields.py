"""The kinds of values that the API takes and gives, with their ranges."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from django.utils.translation import gettext_lazy as _
from ninja import Path, Schema
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, PlainSerializer

from oneapi_admin.lib.quota import MAX_QUOTA

_TIME = (
    r"^(19[7-9][0-9]|20[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_MOMENT = re.compile(_TIME.removesuffix("$"), re.ASCII)
_STORABLE = r"^[^\u0000]*$"
MAX_ID = 2**63 - 1


def _storable(text: str) -> str:
    """Text as both databases take it: neither NUL nor half a character."""
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must not contain NUL or unpaired surrogates")
    return text


def _is_moment(value: object) -> object:
    """Years that both databases and all offsets can do something with; not numbers of seconds."""
    is_moment = _MOMENT.fullmatch(value) if isinstance(value, str) else value is None
    if not is_moment:
        raise ValueError(_("Send a moment such as 2026-03-02T12:00:00Z."))
    return value


def _in_utc(value: datetime) -> datetime:
    """PostgreSQL takes no offset beyond 15:59; RFC 3339 does."""
    return value.astimezone(UTC)


def _utc(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class Body(Schema, extra="forbid", strict=True):
    """What a request brings: nothing unknown, and nothing taken for what it is not, such as "5" for 5."""


def documented(pattern: str) -> Any:
    """A pattern for :data:`Text`: pydantic leaves out of the document what it checks after our own check."""
    return Field(pattern=pattern, json_schema_extra={"pattern": pattern})


Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={"pattern": _STORABLE})]
Name = Annotated[Text, Field(min_length=1, max_length=64), documented(r"^[^\x00]*[^\s\x00][^\x00]*$")]
Email = Annotated[
    Text,
    Field(
        max_length=254,
        examples=["ann@example.com"],
        description="Empty for none.",
    ),
    documented(
        r"^$|^[A-Za-z0-9_%+-]{1,32}(\.[A-Za-z0-9_%+-]{1,31})?@([A-Za-z0-9]{1,32}\.){1,4}[A-Za-z]{2,12}$"
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
Time = Annotated[AwareDatetime, Field(strict=False), PlainSerializer(_utc, return_type=str)]
"""A moment of ours, in UTC."""
Moment = Annotated[
    Time,
    BeforeValidator(_is_moment),
    AfterValidator(_in_utc),
    Field(json_schema_extra={"pattern": _TIME}, examples=["2026-03-02T12:00:00Z"]),
]
"""A moment that somebody sends, with its offset."""
