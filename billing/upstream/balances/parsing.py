"""Reading the fields of an answer that may be anything: what is not as documented is refused.

Numbers come as JSON numbers or as text, and become Decimal without ever having been a float. A field that
is null, or left out where it may be, is None.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.errors import BalanceRefusedError

_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Za-z]{3}", re.ASCII)
_TOO_LARGE = Decimal(10) ** 18
_FINEST = Decimal("1e-12")
_WIDE = Context(prec=40)
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


def refusal(reason: str | Promise, *, status: int | None = None) -> BalanceRefusedError:
    """The error to raise when an answer is no use."""
    return BalanceRefusedError(reason=reason, status=status)


def odd(name: str) -> BalanceRefusedError:
    """The error to raise when a field is not what the documentation says."""
    return refusal(_("The answer is not as documented: %(field)s.") % {"field": name})


def check_success(answer: Mapping[str, Any], name: str, means: object, *, words: str = "message") -> None:
    """Refuse an answer whose field does not say that it is one, with the words that it has for it."""
    value = answer.get(name)
    if type(value) is type(means) and value == means:
        return
    if said := text(answer, words):
        raise refusal(said[:500])
    raise odd(name)


def amount(data: Mapping[str, Any], name: str, *, unit: int = 1) -> Decimal | None:
    """An amount that may be left out.

    :param unit: how many of what the provider counts in make one of the currency
    """
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise odd(name)
    number = Decimal(value)
    if not number.is_finite() or abs(number) >= _TOO_LARGE:
        raise odd(name)
    if isinstance(exponent := number.as_tuple().exponent, int) and exponent < -12:
        number = number.quantize(_FINEST, context=_WIDE)
    return number / unit


def main_amount(data: Mapping[str, Any], name: str, *, unit: int = 1) -> Decimal | None:
    """An amount whose field must be there, although it may be null."""
    if name not in data:
        raise odd(name)
    return amount(data, name, unit=unit)


def certain_amount(data: Mapping[str, Any], name: str, *, unit: int = 1) -> Decimal:
    """An amount without which the others mean nothing, such as one part of a sum."""
    value = amount(data, name, unit=unit)
    if value is None:
        raise odd(name)
    return value


def mapping(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object."""
    value = data.get(name)
    if not isinstance(value, dict):
        raise odd(name)
    return value


def mappings(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects."""
    value = data.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise odd(name)
    return value


def text(data: Mapping[str, Any], name: str) -> str:
    """A text; empty when it is left out."""
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise odd(name)
    return value


def flag(data: Mapping[str, Any], name: str) -> bool | None:
    """Yes, no, or not said."""
    value = data.get(name)
    if value is not None and not isinstance(value, bool):
        raise odd(name)
    return value


def currency(data: Mapping[str, Any], name: str) -> str:
    """A currency's code, in capitals."""
    value = text(data, name)
    if not _CURRENCY.fullmatch(value):
        raise odd(name)
    return value.upper()


def unix_time(data: Mapping[str, Any], name: str) -> datetime | None:
    """A time in Unix seconds; None for what means never: 0 and less."""
    seconds = amount(data, name)
    if seconds is None or seconds <= 0:
        return None
    if seconds > _LAST_SECOND:
        raise odd(name)
    return datetime.fromtimestamp(int(seconds), tz=UTC)


def iso_time(data: Mapping[str, Any], name: str) -> datetime | None:
    """A time as ISO 8601 writes it, in UTC where it names no zone."""
    value = text(data, name)
    if not value:
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise odd(name) from exc


def difference(whole: Decimal | None, part: Decimal | None) -> Decimal | None:
    """What is left of an amount, where both are known."""
    return None if whole is None or part is None else whole - part


def sums(parts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    """Add up amounts, each currency by itself."""
    totals: dict[str, Decimal] = {}
    for code, value in parts:
        totals[code] = totals.get(code, Decimal(0)) + value
    return totals
