"""Times of whole minutes or hours."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.upstream.usage_reports.report import Span, Tokens

DAY = "2026-11-26T"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{DAY}{text}+00:00")


@pytest.mark.parametrize(
    ("began", "ended", "since", "until", "width"),
    [
        ("12:00:30.5", "12:10:00.000001", "12:00:00", "12:11:00", "1m"),
        ("12:00:00", "12:10:00", "12:00:00", "12:10:00", "1m"),
        ("12:00:10", "12:00:20", "12:00:00", "12:01:00", "1m"),
        ("12:00:00", "12:00:00", "12:00:00", "12:01:00", "1m"),
        ("12:30:30", "18:30:30", "12:30:00", "18:31:00", "1m"),
        ("12:30:30", "18:30:30.000001", "12:00:00", "19:00:00", "1h"),
        ("01:00:00", "09:00:00", "01:00:00", "09:00:00", "1h"),
    ],
)
def test_a_time_is_widened_to_whole_buckets(
    began: str, ended: str, since: str, until: str, width: str
) -> None:
    span = Span.around(at(began), at(ended))

    assert span == Span(since=at(since), until=at(until), width=width)


def test_hours_are_those_of_utc() -> None:
    began = datetime.fromisoformat("2026-11-26T17:45:00+05:30")

    span = Span.around(began, began + timedelta(hours=7))

    assert (span.since, span.until) == (at("12:00:00"), at("20:00:00"))
    assert span.since.tzinfo is UTC


def test_what_is_not_told_of_one_part_is_not_known_of_the_sum() -> None:
    one, other = Tokens(requests=1, cached_tokens=None, prompt_tokens=2), Tokens(requests=2, cached_tokens=5)

    assert one + other == Tokens(requests=3, cached_tokens=None, prompt_tokens=2)
    assert other + one == one + other
