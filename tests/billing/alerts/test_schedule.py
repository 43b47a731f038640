"""When somebody may be told, by their own clock."""

from datetime import UTC, datetime, time

import pytest

from billing.models import AlertRule
from billing.services.alerts.schedule import after_quiet_hours, due_at

SHANGHAI = "Asia/Shanghai"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def night(**fields: object) -> AlertRule:
    said = {"quiet_from": time(22), "quiet_until": time(8), "time_zone": SHANGHAI}
    return AlertRule(**{**said, **fields})


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-03-02T21:59:59+08:00", "2026-03-02T21:59:59+08:00"),
        ("2026-03-02T22:00:00+08:00", "2026-03-03T08:00:00+08:00"),
        ("2026-03-02T23:59:00+08:00", "2026-03-03T08:00:00+08:00"),
        ("2026-03-03T00:00:00+08:00", "2026-03-03T08:00:00+08:00"),
        ("2026-03-03T07:59:59+08:00", "2026-03-03T08:00:00+08:00"),
        ("2026-03-03T08:00:00+08:00", "2026-03-03T08:00:00+08:00"),
        ("2026-03-03T12:00:00+08:00", "2026-03-03T12:00:00+08:00"),
    ],
)
def test_in_quiet_hours_an_alert_waits_for_their_end(moment: str, told: str) -> None:
    assert due_at(night(), severity="warning", at=at(moment)) == at(told)


def test_what_is_critical_waits_for_nothing() -> None:
    moment = at("2026-03-02T23:00:00+08:00")

    assert due_at(night(digest_minutes=1440), severity="critical", at=moment) == moment


def test_quiet_hours_within_a_day() -> None:
    noon = night(quiet_from=time(12), quiet_until=time(13, 30))

    assert after_quiet_hours(noon, at=at("2026-03-02T12:45+08:00")) == at("2026-03-02T13:30+08:00")
    assert after_quiet_hours(noon, at=at("2026-03-02T13:45+08:00")) == at("2026-03-02T13:45+08:00")


def test_without_a_zone_it_is_the_installations(settings: object) -> None:
    settings.TIME_ZONE = "America/New_York"

    assert after_quiet_hours(night(time_zone=""), at=at("2026-01-02T23:00-05:00")) == at(
        "2026-01-03T08:00-05:00"
    )


def test_a_night_in_which_clocks_are_set_forward_ends_when_the_clock_says_so() -> None:
    berlin = night(time_zone="Europe/Berlin")

    assert after_quiet_hours(berlin, at=at("2026-03-28T23:00+01:00")) == at("2026-03-29T08:00+02:00")


@pytest.mark.parametrize(
    ("minutes", "moment", "told"),
    [
        (15, "2026-03-02T12:07:30+08:00", "2026-03-02T12:15:00+08:00"),
        (15, "2026-03-02T12:15:00+08:00", "2026-03-02T12:30:00+08:00"),
        (60, "2026-03-02T21:10:00+08:00", "2026-03-03T08:00:00+08:00"),
        (1440, "2026-03-02T08:59:00+08:00", "2026-03-02T09:00:00+08:00"),
        (1440, "2026-03-02T09:00:00+08:00", "2026-03-03T09:00:00+08:00"),
        (0, "2026-03-02T09:00:01+08:00", "2026-03-02T09:00:01+08:00"),
    ],
)
def test_a_digest_comes_at_the_end_of_its_portion_of_the_day(minutes: int, moment: str, told: str) -> None:
    assert due_at(night(digest_minutes=minutes), severity="warning", at=at(moment)) == at(told)


def test_a_daily_digest_comes_when_the_rule_says() -> None:
    daily = night(digest_minutes=1440, digest_at=time(18, 30))

    assert due_at(daily, severity="warning", at=at("2026-03-02T12:00+08:00")) == at("2026-03-02T18:30+08:00")
