"""When quota runs out, as told from hours of spending."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.forecast import Habits, compare, together
from billing.forecasting import HORIZON, MINIMUM_HOURS, Forecast, forecast_exhaustion
from billing.forecasting.exhaustion import _levels
from billing.forecasting.levels import Outlook
from billing.forecasting.pattern import week_pattern

quick = settings(deadline=None, max_examples=80)
HOUR = timedelta(hours=1)
DAY, WEEK = 24, 7 * 24
NOW = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday's first moment."""
NOTHING = timedelta(0)
NEVER = Forecast(expected=None, earliest=None, latest=None)

amounts = st.one_of(
    st.just(0), st.integers(-100, 1_000), st.integers(0, 2**53), st.integers(-(10**30), 10**30)
)
minutes = st.integers(0, 59)


@st.composite
def histories(draw) -> list[tuple[datetime, int]]:
    """Some hours of the last ten weeks and of the next two, oldest first: dense, sparse, or repeated."""
    kind = draw(st.sampled_from(["any", "dense", "weeks"]))
    if kind == "any":
        found = draw(st.dictionaries(st.integers(-2, 70 * DAY), amounts, max_size=30))
        return [(NOW - ago * HOUR, found[ago]) for ago in sorted(found, reverse=True)]
    pattern = draw(st.lists(amounts, min_size=1, max_size=30))
    length = draw(st.integers(1, 80) if kind == "dense" else st.integers(5 * WEEK, 9 * WEEK))
    return hourly([pattern[number % len(pattern)] for number in range(length)])


def hourly(spent: Sequence[int | Decimal], *, until: datetime = NOW) -> list[tuple[datetime, int | Decimal]]:
    """Complete hours, the last of which ends at ``until``."""
    return [(until - (len(spent) - number) * HOUR, amount) for number, amount in enumerate(spent)]


def forecast(left, spent, *, now: datetime = NOW, zone=UTC) -> Forecast | None:
    return forecast_exhaustion(left=left, spent_by_hour=spent, now=now, zone=zone)


def told(left, spent, *, now: datetime = NOW, zone=UTC) -> Forecast:
    found = forecast(left, spent, now=now, zone=zone)
    assert found is not None
    return found


def expected_hours(left, spent, *, now: datetime = NOW, zone=UTC) -> float:
    expected = told(left, spent, now=now, zone=zone).expected
    assert expected is not None
    return expected / HOUR


def working_weeks(count: int, *, monday: int = 3) -> list[int]:
    """100 an hour from 8 to 20 o'clock, on Mondays more, and 10 else; up to a Monday's first hour."""
    week = [
        100 * (monday if day == 0 else 1) if 8 <= hour < 20 else 10 for day in range(7) for hour in range(DAY)
    ]
    return week * count


def test_steady_spending_lasts_as_long_as_a_division_says() -> None:
    spent = hourly([50] * 3 * DAY)

    assert expected_hours(50 * 10, spent) == pytest.approx(10, rel=0.01)


def test_the_hours_of_the_day_are_known_after_some_days() -> None:
    days = [100 if 8 <= hour < 20 else 0 for hour in range(DAY)] * 5

    assert expected_hours(150, hourly(days)) == pytest.approx(9.5, abs=0.2)  # at night nothing is spent


def test_a_busy_monday_is_known_after_some_weeks() -> None:
    spent = working_weeks(4)
    until_sunday = hourly(spent[:-DAY], until=NOW - DAY * HOUR)  # Sunday's first moment
    a_sunday = 12 * 10 + 12 * 100
    left = a_sunday + 8 * 10 + 3 * 300

    hours = expected_hours(left, until_sunday, now=NOW - DAY * HOUR)

    assert hours == pytest.approx(DAY + 8 + 3, abs=0.7)


def test_what_is_left_on_a_monday_does_not_last_as_long_as_on_a_tuesday() -> None:
    spent = working_weeks(4)
    on_monday = expected_hours(1_500, hourly(spent))
    on_tuesday = expected_hours(
        1_500, hourly([*spent, *spent[:DAY]], until=NOW + DAY * HOUR), now=NOW + DAY * HOUR
    )

    assert on_monday == pytest.approx(8 + 1_420 / 300, abs=0.5)
    assert on_tuesday > DAY * 0.9


def test_a_job_of_every_wednesday_night_is_known() -> None:
    spent = [10] * 4 * WEEK
    spent[2 * DAY + 3 :: WEEK] = [2_000] * 4

    hours = expected_hours(10 * (2 * DAY + 3) + 1_000, hourly(spent))

    assert hours == pytest.approx(2 * DAY + 3.5, abs=0.15)


def test_a_busy_monday_is_seen_through_noise() -> None:
    chance = random.Random(3)
    hours = list(range(WEEK)) * 6
    spent = [(3 if hour < DAY else 1) * chance.lognormvariate(0, 0.8) for hour in hours]

    week = week_pattern(spent, hours)

    assert min(week[:DAY]) > max(week[DAY:])


def test_growth_is_not_taken_for_a_pattern_nor_hides_one() -> None:
    hours = list(range(WEEK)) * 4
    growing = [amount * 2.0 ** (number // WEEK) for number, amount in enumerate(working_weeks(4))]

    week, steady = week_pattern(growing, hours), week_pattern(working_weeks(4), hours)

    assert week[12] / week[36] == pytest.approx(
        steady[12] / steady[36], rel=0.15
    )  # noon on Monday, on Tuesday


def test_bursts_are_expected_at_any_hour() -> None:
    days = [100 if 8 <= hour < 20 else 0 for hour in range(DAY)] * 28
    days[5 * DAY + 2] = 2_000

    assert min(week_pattern(days, list(range(WEEK)) * 4)) > 0.03


def test_many_rare_bursts_together_count() -> None:
    chance = random.Random(8)
    spent = hourly([3_000 if chance.random() < 0.015 else 10 for _ in range(8 * WEEK)])
    mean = sum(amount for _at, amount in spent) / len(spent)

    assert expected_hours(round(mean * 20 * DAY), spent) == pytest.approx(20 * DAY, rel=0.4)


def test_a_few_busy_hours_of_somebody_who_varies_are_taken_for_chance() -> None:
    chance = random.Random(2)
    spent = [chance.randint(20, 180) for _ in range(4 * WEEK)]

    assert expected_hours(2_400, hourly(spent + [180] * 4)) == pytest.approx(24, rel=0.15)


def test_spending_that_begins_with_a_burst_is_not_taken_for_as_much() -> None:
    assert expected_hours(2_400, hourly([20_000] + [100] * DAY)) == pytest.approx(24, rel=0.25)


def test_spending_that_begins_again_is_followed_within_a_day() -> None:
    spent = [100] * 2 * WEEK + [0] * 3 * WEEK + [100] * DAY

    assert expected_hours(2_400, hourly(spent)) == pytest.approx(24, rel=0.35)


def test_between_two_distances_the_level_is_between_theirs() -> None:
    near = Outlook(hours=1, low=1.0, middle=2.0, high=3.0)
    far = Outlook(hours=3, low=2.0, middle=4.0, high=6.0)

    assert _levels([near, far], 0.5) == _levels([near, far], 1) == (1.0, 2.0, 3.0)
    assert _levels([near, far], 2) == (1.5, 3.0, 4.5)
    assert _levels([near, far], 500) == (2.0, 4.0, 6.0)


def test_one_hour_at_fifty_times_hardly_changes_anything() -> None:
    calm = working_weeks(4, monday=1)
    burst = list(calm)
    burst[-9] *= 50  # yesterday at 15 o'clock
    before = told(3_000, hourly(calm)).expected
    after = told(3_000, hourly(burst)).expected

    assert before is not None
    assert after is not None
    assert before * 0.75 <= after <= before


def test_a_burst_weeks_ago_changes_less_still() -> None:
    calm = working_weeks(4, monday=1)
    burst = list(calm)
    burst[9 * DAY + 12] *= 50

    assert expected_hours(3_000, hourly(burst)) == pytest.approx(
        expected_hours(3_000, hourly(calm)), rel=0.05
    )


@pytest.mark.parametrize("factor", [4, 10])
def test_a_level_that_rose_is_followed_within_a_day(factor: int) -> None:
    spent = [100] * 4 * WEEK + [100 * factor] * DAY

    assert expected_hours(10_000, hourly(spent)) == pytest.approx(100 / factor, rel=0.35)


def test_a_level_that_fell_is_followed_within_two_days() -> None:
    spent = [100] * 4 * WEEK + [25] * 2 * DAY

    assert expected_hours(5_000, hourly(spent)) == pytest.approx(200, rel=0.35)


def test_spending_that_stopped_days_ago_is_not_expected_to_go_on_as_before() -> None:
    spent = [100] * 2 * WEEK
    going_on = expected_hours(2_400, hourly(spent))
    stopped = told(2_400, hourly(spent + [0] * 5 * DAY)).expected

    assert going_on == pytest.approx(24, rel=0.05)
    assert stopped is None or stopped > 10 * DAY * HOUR


def test_steady_spending_is_told_more_exactly_than_wild_spending() -> None:
    chance = random.Random(5)
    steady = hourly([chance.randint(90, 110) for _ in range(3 * WEEK)])
    wild = hourly([chance.choice([0, 0, 0, 10, 500]) for _ in range(3 * WEEK)])

    def width(found: Forecast) -> float:
        assert None not in {found.earliest, found.expected, found.latest}
        return (found.latest - found.earliest) / found.expected

    assert width(told(2_400, steady)) < 0.15
    assert width(told(2_400, wild)) > 0.5


def test_little_history_makes_a_wide_interval() -> None:
    few, many = (told(240, hourly([10] * count)) for count in (MINIMUM_HOURS, 2 * WEEK))

    assert few.earliest < many.earliest * 0.7
    assert few.latest > many.latest * 1.5


@pytest.mark.parametrize("left", [0, -5, Decimal("-0.01")])
def test_nothing_left_is_used_up_now_whatever_was_spent(left) -> None:
    used_up = Forecast(expected=NOTHING, earliest=NOTHING, latest=NOTHING)

    assert forecast(left, []) == used_up
    assert forecast(left, hourly([10] * 100)) == used_up


@pytest.mark.parametrize("spent", [[], [0] * 50, [5, -5], [-3]])
def test_without_spending_it_is_never_used_up(spent: list[int]) -> None:
    assert forecast(10, hourly(spent)) == NEVER


def test_spending_of_more_than_eight_weeks_ago_is_forgotten() -> None:
    chance = random.Random(1)
    older = [chance.randint(0, 5_000) for _ in range(2 * WEEK)]
    eight_weeks = working_weeks(8)

    assert told(9_000, hourly(older + eight_weeks)) == told(9_000, hourly(eight_weeks))
    assert forecast(10, hourly([100] * DAY, until=NOW - 8 * WEEK * HOUR)) == NEVER


@pytest.mark.parametrize("hours", range(1, MINIMUM_HOURS))
def test_with_less_than_the_minimum_of_hours_nothing_is_said(hours: int) -> None:
    assert forecast(100, hourly([0] * 100 + [10] * hours)) is None


def test_the_minimum_counts_complete_hours_since_the_first_spending() -> None:
    in_the_running_hour = [(NOW, 10)]
    long_enough_ago = [(NOW - MINIMUM_HOURS * HOUR, 10)]

    assert forecast(100, in_the_running_hour, now=NOW + HOUR * 0.9) is None
    assert forecast(100, long_enough_ago) is not None


def test_what_lasts_longer_than_the_horizon_has_no_duration() -> None:
    spent = hourly([10] * WEEK)
    hours = HORIZON // HOUR

    assert told(10 * hours * 4, spent) == NEVER
    assert told(10 * hours // 2, spent).expected is not None


def test_hours_without_spending_may_be_missing() -> None:
    spent = hourly([0, 0, 70, 0, 0, 0, 20, 0] * 40)

    assert told(500, [hour for hour in spent if hour[1]]) == told(500, spent)


def test_the_order_of_the_hours_does_not_matter_and_coming_hours_are_no_history() -> None:
    spent = hourly(working_weeks(2))

    assert told(5_000, [(NOW + HOUR, 10**6), *reversed(spent)]) == told(5_000, spent)


def test_a_refund_takes_back_the_spending_before_it() -> None:
    refunded = hourly([10] * 90 + [500, 10, -500] + [10] * 10)
    never_spent = hourly([10] * 90 + [10, 0, 0] + [10] * 10)

    assert told(300, refunded) == told(300, never_spent)


def test_in_the_middle_of_an_hour_only_the_rest_of_it_is_ahead() -> None:
    spent = hourly([100 if 8 <= hour < 20 else 0 for hour in range(DAY)] * 5)

    at_half_past_six = expected_hours(150, spent, now=NOW + 6.5 * HOUR)

    assert at_half_past_six == pytest.approx(3, abs=0.3)  # 8 o'clock and 1.5 hours
    steady = hourly([100] * 3 * DAY)
    assert expected_hours(250, [*steady, (NOW, 50)], now=NOW + 0.5 * HOUR) == pytest.approx(2.5, abs=0.1)


def test_what_the_hour_under_way_has_cost_counts() -> None:
    spent = hourly([100] * 3 * DAY)
    now = NOW + 0.75 * HOUR

    quiet, busy = (expected_hours(1_000, [*spent, (NOW, amount)], now=now) for amount in (75, 300))

    assert quiet == pytest.approx(10, rel=0.01)
    assert busy < quiet * 0.97


def test_days_begin_where_the_zone_has_them() -> None:
    shanghai = ZoneInfo("Asia/Shanghai")
    berlin = ZoneInfo("Europe/Berlin")
    begin = NOW.replace(month=3, day=28)  # a Saturday, before the night in which Berlin's clocks go forward
    starts = [begin - ago * HOUR for ago in range(30 * DAY, 0, -1)]
    noons = [(at, 600 if at.astimezone(berlin).hour == 12 else 0) for at in starts]

    saturday = expected_hours(300, noons, now=begin, zone=berlin)
    sunday = expected_hours(900, noons, now=begin, zone=berlin)

    assert saturday == pytest.approx(11.5, abs=0.2)  # 12:00 is 11:00 UTC
    assert sunday == pytest.approx(DAY + 10.5, abs=0.2)  # and 10:00 UTC on the next day
    assert expected_hours(900, noons, now=begin, zone=shanghai) == pytest.approx(DAY + 11.5, abs=0.2)


def test_amounts_may_be_decimals() -> None:
    spent = hourly([Decimal(amount) / 8 for amount in working_weeks(2)])

    assert told(Decimal("500.125"), spent) == told(4_001, hourly(working_weeks(2)))


@quick
@given(histories(), st.integers(0, 10**31), minutes)
def test_whatever_was_spent_the_expected_end_is_within_the_interval(spent, left, minute) -> None:
    found = forecast(left, spent, now=NOW + timedelta(minutes=minute))

    if found is not None:
        ends = [
            HORIZON if end is None else end for end in (NOTHING, found.earliest, found.expected, found.latest)
        ]
        assert ends == sorted(ends)


@quick
@given(histories(), st.integers(0, 10**31), st.integers(0, 10**31), minutes)
def test_more_left_never_lasts_shorter(spent, left, more, minute) -> None:
    now = NOW + timedelta(minutes=minute)

    sooner, later = forecast(left, spent, now=now), forecast(left + more, spent, now=now)

    if sooner is not None and later is not None:
        for before, after in zip(ends_of(sooner), ends_of(later), strict=True):
            assert before <= after


@quick
@given(histories(), st.integers(1, 10**31), st.integers(2, 10**12))
def test_the_unit_of_the_amounts_does_not_matter(spent, left, factor) -> None:
    scaled = [(at, amount * factor) for at, amount in spent]

    assert forecast(left, spent) == forecast(left * factor, scaled)


def ends_of(found: Forecast) -> list[timedelta]:
    return [HORIZON if end is None else end for end in (found.earliest, found.expected, found.latest)]


@pytest.mark.parametrize(
    ("habits", "most"),
    [
        (Habits(), 0.5),
        (Habits(bursts=0.01), 0.8),
        (Habits(shifts=1 / (2 * WEEK)), 0.6),
    ],
    ids=["3 × Monday", "bursts", "shifts"],
)
def test_made_up_weeks_are_forecast_better_than_by_the_best_straight_line(habits, most) -> None:
    compared = together(compare(habits.spending(seed), origins=20, lasting=(6, 24, 72)) for seed in (7, 8))

    assert len(compared.truths) > 100
    assert compared.ratio < most
    assert 0.65 <= compared.inside / len(compared.truths) <= 0.98
