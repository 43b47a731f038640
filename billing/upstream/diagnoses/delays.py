"""How long a provider says to wait, wherever it says so.

In this order: ``retry-after-ms``; ``retry-after`` as a number or an HTTP date; Google's ``retryDelay`` and
``quotaResetDelay``; a moment at which something resets; "try again in 1h2m3.4s"; ``x-ratelimit-reset*`` and
its kin of the limits that are used up. What is 0, past or not understood counts as not said.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

from billing.upstream.diagnoses.bodies import ErrorBody
from billing.upstream.diagnoses.classes import Until

LONGEST_S = 24 * 60 * 60
"""Whoever asks for more is asked again after a day."""
BEIJING = timezone(timedelta(hours=8))
"""What Zhipu's texts name moments in, without saying so."""
_PACIFIC = ZoneInfo("America/Los_Angeles")
_LONGEST_VALUE = 64
_UNIT_S = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_PIECE = r"(\d{1,15}(?:\.\d{1,15})?)(ms|us|µs|μs|ns|d|h|m|s)"  # "ms" before "m"
_DURATION = re.compile(rf"(?:{_PIECE})+")
_PIECES = re.compile(_PIECE)
_EPOCH_S, _EPOCH_MS = 10**9, 10**12
_MOMENT = (
    r"(\d{4}-\d\d-\d\d(?:(?:t|\s|\sat\s)\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(?:\s?utc|z|[+-]\d\d:?\d\d)?)"
)
_RESETS = re.compile(
    rf"(?:reset|resets|resetting|access|again|available|until|将在|于)(?:\s(?:at|on))?[\s:]{{0,4}}{_MOMENT}"
)
_AGAIN = re.compile(
    r"(?:again|retry|reset|resets|wait|access)[\s:]{1,4}(?:(?:in|after|for)\s)?"
    rf"(?P<amount>{_DURATION.pattern}|\d{{1,9}}(?:\.\d{{1,9}})?)"
    r"(?:\s?(?P<word>milliseconds?|seconds?|secs?|minutes?|mins?|hours?|days?))?\b"
)
_CLOCK = re.compile(r"(?:replenished|reset|again|retry)\sin\s(\d{1,3}):(\d\d):(\d\d)")
_CHINESE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?(秒|分钟|小时|天)钟?(?:之|以)?后")
_WORD_S = {"mil": 1e-3, "sec": 1, "min": 60, "hou": 3600, "day": 86400}
_CHINESE_S = {"秒": 1, "分钟": 60, "小时": 3600, "天": 86400}
_GOOGLE = ("retryDelay", "quotaResetDelay", "quotaResetTimeStamp")
_FIELDS = ("resets_at", "reset_at", "resetsAt", "retry_after", "retryAfter", "retry_after_seconds")
_RESET_HEADER = re.compile(r"(?:x-|anthropic-)?ratelimit-(?:.{1,40}-)?reset(?:-.{1,40})?")


def read_delay(
    headers: Mapping[str, str], body: ErrorBody, *, at: datetime, zone: timezone = UTC
) -> float | None:
    """The wait that a provider asks for, in seconds from ``at``; above 0, a day at most.

    :param headers: names in small letters
    :param zone: of moments in texts that name none
    """
    for told in _told(headers, body, at, zone):
        if told is not None and told > 0:
            return min(told, LONGEST_S)
    return None


def _told(
    headers: Mapping[str, str], body: ErrorBody, at: datetime, zone: timezone
) -> Iterator[float | None]:
    milliseconds = _number(headers.get("retry-after-ms", ""))
    yield None if milliseconds is None else milliseconds / 1000
    yield seconds_of(headers.get("retry-after", ""), at=at)
    for layer in body.layers:
        for name in (*_GOOGLE, *_FIELDS):
            yield from (seconds_of(part[name], at=at) for part in layer.parts if name in part)
        yield _in_text(layer.said, at, zone)
    yield _until_reset(headers, at)
    for layer in body.layers:
        for part in layer.parts:  # OpenRouter copies its headers into the body
            if isinstance(copied := part.get("headers"), dict):
                yield _until_reset(_lowered(copied), at)


def until_seconds(until: Until, *, at: datetime) -> float:
    """The time until providers begin to count anew, in seconds; it may be more than a day."""
    if until == Until.NEXT_MONTH:
        first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return ((first + timedelta(days=32)).replace(day=1) - at).total_seconds()
    zone = _PACIFIC if until == Until.NEXT_PACIFIC_DAY else UTC
    tomorrow = at.astimezone(zone).date() + timedelta(days=1)
    return (datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone) - at).total_seconds()


def seconds_of(value: Any, *, at: datetime, zone: timezone = UTC) -> float | None:
    """The seconds until what a value says, in whatever way it says it; None if it is not understood.

    A number of seconds, of seconds or milliseconds since 1970, a duration such as ``6m0s``, a moment as
    ISO 8601 or HTTP write it.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int) and abs(value) > 10**18:
        return None
    text = str(value).strip()[:_LONGEST_VALUE]
    number = _number(text)
    if number is not None:
        if _EPOCH_S < number < math.inf:
            return (number / 1000 if number > _EPOCH_MS else number) - at.timestamp()
        return number
    if _DURATION.fullmatch(text.lower()):
        return _duration(text.lower())
    return _moment(text, at, zone)


def _number(text: str) -> float | None:
    """Not ``nan``, nor what only Python takes for a number; endless is a number."""
    if not text or "_" in text or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _duration(text: str) -> float:
    return sum(float(number) * _UNIT_S[unit] for number, unit in _PIECES.findall(text))


def _moment(text: str, at: datetime, zone: timezone) -> float | None:
    try:
        if re.match(r"\d{4}-\d\d-\d\d", text):
            moment = datetime.fromisoformat(text.upper())
        else:
            moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return (moment - at).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _in_text(said: str, at: datetime, zone: timezone) -> float | None:
    """What a message says, in which no two blanks follow one another."""
    if found := _RESETS.search(said):
        text = found[1].replace(" at ", " ").removesuffix("utc").rstrip()
        has_zone = found[1].endswith("utc")
        if (seconds := _moment(text, at, UTC if has_zone else zone)) is not None:
            return seconds
    if found := _CLOCK.search(said):
        return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])
    if found := _AGAIN.search(said):
        amount, word = found["amount"], found["word"] or "seconds"
        return float(amount) * _WORD_S[word[:3]] if amount[-1].isdigit() else _duration(amount)
    if found := _CHINESE.search(said):
        return float(found[1]) * _CHINESE_S[found[2]]
    return None


def _until_reset(headers: Mapping[str, str], at: datetime) -> float | None:
    """When the limits that are used up are whole again; a limit with something left is not the reason."""
    used_up: list[float] = []
    unknown: list[float] = []
    for name, value in headers.items():
        if len(name) > 100 or not _RESET_HEADER.fullmatch(name):
            continue
        seconds = seconds_of(value, at=at)
        left = _number(headers.get(name.replace("reset", "remaining"), ""))
        if seconds is None or seconds <= 0 or (left is not None and left != 0):
            continue
        (unknown if left is None else used_up).append(seconds)
    if used_up:
        return max(used_up)
    return min(unknown, default=None)


def _lowered(headers: Mapping[Any, Any]) -> dict[str, str]:
    pairs: Iterable[tuple[Any, Any]] = list(headers.items())[:100]
    return {str(name).lower(): value for name, value in pairs if isinstance(value, str)}
