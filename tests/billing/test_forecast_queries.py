"""When channels and people run out, as told from what is stored."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from billing.forecasting import Forecast, forecast_exhaustion
from billing.models import BalanceSnapshot, Channel, QuotaAccount, UsageDaily, UsageHourly, UsageRecord
from billing.queries import forecasts
from billing.queries.rates import RateBook
from billing.queries.reconciliations import calls_between
from billing.services.calls import settle
from billing.services.rates import set_rate
from tests.factories import NOON, account_of, make_admin, make_channel, make_token, make_user, settlement

pytestmark = pytest.mark.django_db
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
NOTHING = timedelta(0)
NEVER = Forecast(expected=None, earliest=None, latest=None)
NOW = Forecast(expected=NOTHING, earliest=NOTHING, latest=NOTHING)
DOLLAR = 10**9
"""In billionths."""


def spend_hourly(channel: Channel, costs: Sequence[int], *, until: datetime = NOON) -> None:
    """Complete hours, the last of which ends at ``until``."""
    UsageHourly.objects.bulk_create(
        UsageHourly(
            hour=until - (len(costs) - number) * HOUR, channel_id=channel.pk, model="m", upstream_cost=cost
        )
        for number, cost in enumerate(costs)
    )


def use(user: User, quotas: Sequence[int], *, first: datetime, every: timedelta = HOUR) -> None:
    """One call after the other, charged by the product's own service."""
    made, channel = make_token(user), make_channel()
    calls = [
        settlement(made, channel, quota=quota, created_at=first + number * every)
        for number, quota in enumerate(quotas)
    ]
    settle(settlements=calls, at=NOON)


def hours_until(forecast: Forecast | None) -> float:
    assert forecast is not None
    assert forecast.expected is not None
    return forecast.expected / HOUR


# --- Channels ---------------------------------------------------------------------------------


def test_what_a_channel_costs_by_the_hour_tells_how_long_its_dollars_last() -> None:
    channel = make_channel()
    spend_hourly(channel, [DOLLAR // 2] * 72)

    forecast = forecasts.channel_forecast(channel.pk, Decimal("5.25"), at=NOON)

    assert hours_until(forecast) == pytest.approx(10.5, rel=0.01)


@pytest.mark.parametrize("others", [0, 30])
def test_models_are_added_up_and_other_channels_and_times_left_out(others: int) -> None:
    channel, stranger = make_channel(), make_channel()
    costs = [DOLLAR + number for number in range(72)]
    spend_hourly(channel, costs)
    UsageHourly.objects.create(hour=NOON - HOUR, channel_id=channel.pk, model="n", upstream_cost=DOLLAR)
    spend_hourly(channel, [DOLLAR], until=NOON - 8 * WEEK)
    spend_hourly(channel, [DOLLAR], until=NOON + 2 * HOUR)  # a clock that was wrong
    spend_hourly(stranger, [50 * DOLLAR] * 72)
    wanted = [channel.pk, *range(10**6, 10**6 + others)]

    found = list(forecasts.costs_by_hour(wanted, at=NOON))

    costs[-1] += DOLLAR
    hours = [NOON - (72 - number) * HOUR for number in range(72)]
    assert sorted(found) == [(channel.pk, hour, cost) for hour, cost in zip(hours, costs, strict=True)]


def test_the_hour_under_way_counts_with_what_it_has_cost_so_far() -> None:
    channel = make_channel()
    spend_hourly(channel, [DOLLAR] * 72)
    UsageHourly.objects.create(hour=NOON, channel_id=channel.pk, model="m", upstream_cost=7 * DOLLAR)
    at = NOON + timedelta(minutes=30)

    found = forecasts.costs_by_hour([channel.pk], at=at)

    assert (channel.pk, NOON, 7 * DOLLAR) in list(found)
    assert forecasts.channel_forecast(channel.pk, Decimal(9), at=at) == forecast_exhaustion(
        left=9 * DOLLAR, spent_by_hour=[(hour, cost) for _pk, hour, cost in found], now=at
    )


def test_a_channel_that_costs_nothing_lasts_and_a_new_one_cannot_be_told() -> None:
    idle, new, empty = make_channel(), make_channel(), make_channel()
    spend_hourly(new, [DOLLAR] * 3)
    spend_hourly(empty, [DOLLAR] * 72)

    left = {idle.pk: Decimal(5), new.pk: Decimal(5), empty.pk: Decimal(-1)}

    assert forecasts.channel_forecasts(left, at=NOON) == {idle.pk: NEVER, new.pk: None, empty.pk: NOW}


def test_many_channels_are_told_with_one_query_as_each_alone(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    channels = [make_channel() for _ in range(25)]
    for number, channel in enumerate(channels):
        spend_hourly(channel, [DOLLAR + number * 10**6] * 48)
    left = {channel.pk: Decimal(number + 1) for number, channel in enumerate(channels)}

    with django_assert_num_queries(1):
        together = forecasts.channel_forecasts(left, at=NOON)

    alone = {pk: forecasts.channel_forecast(pk, usd, at=NOON) for pk, usd in left.items()}
    assert together == alone
    assert len({forecast.expected for forecast in together.values() if forecast}) == 25


def test_of_no_channels_nothing_is_asked(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert forecasts.channel_forecasts({}, at=NOON) == {}


def test_days_begin_where_the_site_is(settings: Settings) -> None:
    channel = make_channel()
    settings.TIME_ZONE = "Europe/Berlin"
    at = datetime(2026, 3, 28, tzinfo=UTC)  # the day before the clocks go forward
    hours = [at - number * HOUR for number in range(30 * 24, 0, -1)]
    spend_hourly(channel, [6 * DOLLAR if hour.hour == 11 else 0 for hour in hours], until=at)

    found = forecasts.channel_forecast(channel.pk, Decimal(9), at=at)

    assert str(timezone.get_default_timezone()) == "Europe/Berlin"
    assert hours_until(found) == pytest.approx(24 + 10.5, abs=0.2)


def snapshot(remaining: str | None = None, **fields: Any) -> BalanceSnapshot:
    amount = None if remaining is None else Decimal(remaining)
    return BalanceSnapshot(**{"kind": "balance", "remaining": amount, "created_at": NOON, **fields})


BUDGET = {"kind": "key_budget"}


@pytest.mark.parametrize(
    ("snapshots", "left"),
    [
        ([], None),
        ([snapshot("5")], "5"),
        ([snapshot("-5")], "-5"),
        ([snapshot()], None),
        ([snapshot("5", is_unlimited=True)], None),
        ([snapshot("71", currency="CNY")], "10"),
        ([snapshot("5"), snapshot("71", currency="CNY")], "15"),
        ([snapshot("5"), snapshot(currency="CNY")], None),
        ([snapshot("5", currency="EUR")], None),
        ([snapshot("5"), snapshot("2", **BUDGET)], "2"),
        ([snapshot("2"), snapshot("5", **BUDGET)], "2"),
        ([snapshot(), snapshot("5", **BUDGET)], "5"),
        ([snapshot(limit=Decimal(9), used=Decimal(2), **BUDGET)], "7"),
        ([snapshot("5"), snapshot("2", resets_at=NOON, **BUDGET)], "5"),
        ([snapshot("5"), snapshot("2", kind="spend")], "5"),
    ],
)
def test_what_a_provider_told_is_worth_its_dollars_at_the_rate_of_the_day(snapshots, left) -> None:
    set_rate(actor=make_admin(), currency="CNY", per_usd=Decimal("7.1"), valid_from=NOON.date(), at=NOON)

    found = forecasts.left_usd(snapshots, RateBook(), NOON.date())

    assert found == (None if left is None else Decimal(left))


def test_channels_are_told_by_their_snapshots_with_two_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    known, silent = make_channel(), make_channel()
    spend_hourly(known, [DOLLAR] * 72)

    with django_assert_num_queries(2):
        found = forecasts.balance_forecasts({known.pk: [snapshot("10")], silent.pk: []}, at=NOON)

    assert hours_until(found[known.pk]) == pytest.approx(10, rel=0.01)
    assert found[silent.pk] is None


# --- People -----------------------------------------------------------------------------------


def test_the_calls_of_a_person_tell_how_long_their_quota_lasts(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    user, other = make_user(balance=10_000), make_user(balance=10_000)
    use(user, [100] * 72, first=NOON - 72 * HOUR)
    use(other, [90] * 72, first=NOON - 72 * HOUR)

    with django_assert_num_queries(4):
        forecast = forecasts.user_forecast(user.pk, at=NOON)

    assert account_of(user).available == 2_800
    assert hours_until(forecast) == pytest.approx(28, rel=0.01)


def test_what_is_held_is_not_available_any_more() -> None:
    user = make_user(balance=10_000)
    use(user, [100] * 72, first=NOON - 72 * HOUR)
    account = account_of(user)
    account.held = 1_800

    assert hours_until(forecasts.account_forecast(account, at=NOON)) == pytest.approx(10, rel=0.01)


def test_without_quota_it_has_run_out_already_and_nothing_more_is_asked(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    overdrawn = make_user()
    without = make_user()
    QuotaAccount.objects.filter(pk=without.pk).delete()

    with django_assert_num_queries(1):
        found = forecasts.user_forecasts([overdrawn.pk, without.pk], at=NOON)

    assert found == {overdrawn.pk: NOW, without.pk: NOW}


def test_who_never_called_lasts_and_who_just_began_cannot_be_told() -> None:
    idle, new, former = (make_user(balance=10_000) for _ in range(3))
    use(new, [100] * 3, first=NOON - 3 * HOUR)
    use(former, [100] * 72, first=NOON - 9 * WEEK)

    found = forecasts.user_forecasts([idle.pk, new.pk, former.pk], at=NOON)

    assert found == {idle.pk: NEVER, new.pk: None, former.pk: NEVER}


def test_within_an_hour_a_persons_calls_are_added_up_once_and_the_newest_still_count(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    user = make_user(balance=10_000)
    use(user, [100] * 72, first=NOON - 72 * HOUR)
    account = account_of(user)
    at = NOON + timedelta(minutes=20)

    with django_assert_num_queries(3):
        forecasts.spent_by_hour(account.pk, at=NOON)
    use(user, [7, 8], first=NOON, every=timedelta(minutes=10))
    with django_assert_num_queries(1):
        again = forecasts.spent_by_hour(account.pk, at=at)

    assert sorted(again) == [*((NOON - number * HOUR, 100) for number in range(72, 0, -1)), (NOON, 15)]


def test_only_the_days_of_eight_weeks_are_read() -> None:
    user = make_user(balance=10_000)
    for ago in (0, 55, 56, 57, -1):
        UsageDaily.objects.create(
            day=NOON.date() - ago * DAY, account_id=user.pk, token_id=1, model="m", quota=100 + ago
        )

    days = dict(forecasts.days_of(user.pk, at=NOON))

    assert sorted(days.values()) == [100, 155, 156]


def test_people_are_not_taken_for_each_other() -> None:
    one, other = (make_user(balance=10_000) for _ in range(2))
    use(one, [10] * 48, first=NOON - 48 * HOUR)
    use(other, [20] * 48, first=NOON - 48 * HOUR)

    spent = [forecasts.spent_by_hour(user.pk, at=NOON) for user in (one, other)]

    assert [{quota for _hour, quota in hours} for hours in spent] == [{10}, {20}]


def test_hours_are_those_of_utc_wherever_the_reader_is() -> None:
    user = make_user(balance=10_000)
    use(user, [10] * 48, first=NOON - 48 * HOUR)

    with timezone.override("Asia/Kolkata"):
        spent = forecasts.spent_by_hour(user.pk, at=NOON)

    assert sorted(spent) == [(NOON - number * HOUR, 10) for number in range(48, 0, -1)]


def test_the_calls_of_the_hour_that_is_over_are_added_up_in_the_next_one() -> None:
    user = make_user(balance=10_000)
    use(user, [100] * 72, first=NOON - 72 * HOUR)
    forecasts.spent_by_hour(user.pk, at=NOON)
    use(user, [7], first=NOON)
    use(user, [9], first=NOON + HOUR)

    later = forecasts.spent_by_hour(user.pk, at=NOON + HOUR + timedelta(minutes=1))

    assert sorted(later)[-2:] == [(NOON, 7), (NOON + HOUR, 9)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Already after 48 calls the older ones are told by days."""
    monkeypatch.setattr(forecasts, "NEWEST", 48)


@pytest.mark.usefixtures("few")
def test_of_busy_people_the_days_before_their_last_calls_count_too(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    user = make_user(balance=1_000_000)
    quotas = [3_000 if number < 200 else 1_000 for number in range(480)]  # two calls an hour
    use(user, quotas, first=NOON - 10 * DAY, every=timedelta(minutes=30))
    account = account_of(user)

    with django_assert_num_queries(4) as asked:
        forecast = forecasts.account_forecast(account, at=NOON)
    with django_assert_num_queries(1):
        again = forecasts.account_forecast(account, at=NOON)

    farthest = UsageRecord.objects.order_by("pk")[480 - 48]
    assert f'"id" >= {farthest.pk}' in asked.captured_queries[1]["sql"]
    since, known = forecasts.known_hours(user.pk, at=NOON)
    found = forecasts.spent_by_hour(user.pk, at=NOON)
    assert (since, sum(quota for _hour, quota in known)) == (NOON - 23 * HOUR, 23 * 2_000)
    assert sum(quota for _hour, quota in found) == sum(quotas)
    assert sum(quota for hour, quota in found if hour < NOON - 5 * DAY) == pytest.approx(
        600_000 + 40_000, rel=0.05
    )
    assert forecast == again == forecast_exhaustion(left=account.available, spent_by_hour=found, now=NOON)
    assert hours_until(forecast) == pytest.approx(account.available / 2_000, rel=0.1)


@pytest.mark.usefixtures("few")
def test_without_a_cache_it_is_all_read_each_time(settings: Settings) -> None:
    user = make_user(balance=1_000_000)
    use(user, [100] * 96, first=NOON - 4 * DAY)
    with_cache = forecasts.user_forecast(user.pk, at=NOON)
    nowhere = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:9/0"}
    settings.CACHES = {"default": nowhere}

    assert forecasts.user_forecast(user.pk, at=NOON) == with_cache is not None


MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
FLAT = [1] * 24


def spread(
    known: Sequence[tuple[datetime, int]],
    days: dict[date, int],
    usual: Sequence[int] = FLAT,
    *,
    since: datetime,
    at: datetime,
) -> dict[datetime, int]:
    totals: dict[datetime, int] = {}
    until = at.replace(minute=0, microsecond=0)
    for hour, quota in forecasts.spread(known, days, usual, since=since, until=until, at=at):
        totals[hour] = totals.get(hour, 0) + quota
    return {hour: quota for hour, quota in totals.items() if quota}


def test_a_day_that_no_call_tells_of_is_spread_as_everybodys_hours_to_the_last_unit() -> None:
    usual = [0] * 8 + [1] * 8 + [2] * 4 + [0] * 4
    at = MONDAY + DAY + 10 * HOUR

    found = spread([], {MONDAY.date(): 1_601}, usual, since=at, at=at)

    assert [found.get(MONDAY + number * HOUR, 0) // 100 for number in range(24)] == usual
    assert sum(found.values()) == 1_601


def test_the_hours_that_calls_tell_of_stay_and_those_before_them_get_the_rest_of_the_day() -> None:
    since, at = MONDAY + 10 * HOUR, MONDAY + 12 * HOUR
    known = [(since, 30), (since + HOUR, 70)]

    found = spread(known, {MONDAY.date(): 1_200}, since=since, at=at)

    before = {MONDAY + number * HOUR: 110 for number in range(10)}
    assert found == {**before, **dict(known)}


def test_the_hour_under_way_gets_as_much_as_is_over_of_it() -> None:
    at = MONDAY + 2 * HOUR + timedelta(minutes=30)

    found = spread([], {MONDAY.date(): 250}, since=at, at=at)

    assert found == {MONDAY: 100, MONDAY + HOUR: 100, MONDAY + 2 * HOUR: 50}


def test_what_was_charged_late_is_not_lost() -> None:
    known = [(MONDAY - DAY + 4 * HOUR, 10)]

    found = spread(known, {(MONDAY - DAY).date(): 250}, since=MONDAY - 5 * DAY, at=MONDAY + HOUR)

    assert sum(found.values()) == 250


def test_a_day_of_which_calls_tell_more_than_its_sum_has_no_rest() -> None:
    known = [(MONDAY + 4 * HOUR, 10)]

    found = spread(known, {MONDAY.date(): 5}, since=MONDAY + 2 * HOUR, at=MONDAY + 5 * HOUR)

    assert found == dict(known)


@pytest.mark.parametrize(("days", "share"), [(0, 0.0), (1, 1 / 4), (3, 1 / 2), (9, 3 / 4)])
def test_the_more_whole_days_a_persons_calls_tell_of_the_more_their_own_hours_count(days, share) -> None:
    at = MONDAY + 6 * HOUR
    hours = [at - number * HOUR for number in range(1, 24 * days + 1)]
    of_no_whole_day = at - days * DAY - 2 * HOUR
    known = [(of_no_whole_day, 900), *((hour, 10) for hour in hours if hour.hour == 20)]
    usual = [0] * 10 + [1] + [0] * 13
    day = MONDAY - 20 * DAY

    found = spread(known, {day.date(): 1_000}, usual, since=at - days * DAY - 5 * HOUR, at=at)

    assert found.get(day + 20 * HOUR, 0) == pytest.approx(1_000 * share, abs=1)
    assert found[day + 10 * HOUR] == pytest.approx(1_000 * (1 - share), abs=1)
    assert day + 4 * HOUR not in found


def test_what_was_used_in_hours_in_which_nobody_else_does_is_spread_evenly() -> None:
    usual = [0] * 10 + [1] + [0] * 13

    found = spread([], {MONDAY.date(): 500}, usual, since=MONDAY + 5 * HOUR, at=MONDAY + 5 * HOUR)

    assert found == {MONDAY + number * HOUR: 100 for number in range(5)}


def test_at_the_first_moment_of_a_day_and_right_after_it_nothing_is_divided_by_nothing() -> None:
    moments = [MONDAY, MONDAY + timedelta.resolution]

    found = [spread([], {MONDAY.date(): 5}, since=MONDAY, at=at) for at in moments]

    assert found == [{}, {MONDAY: 5}]


def test_where_nobody_used_anything_lately_a_day_is_spread_evenly() -> None:
    found = spread([], {(MONDAY - DAY).date(): 2_400}, [], since=MONDAY, at=MONDAY + 5 * HOUR)

    assert set(found.values()) == {100}
    assert len(found) == 24


def test_everybodys_hours_are_those_of_the_last_seven_complete_days() -> None:
    channel, other = make_channel(), make_channel()
    at = NOON + timedelta(minutes=10)
    for hour, quota in ((-7 * 24 - 1, 1_000), (-7 * 24, 1), (-24, 2), (-1, 5), (0, 10_000)):
        for number, one in enumerate((channel, other)):
            UsageHourly.objects.create(
                hour=NOON + hour * HOUR, channel_id=one.pk, model="m", quota=quota * (number + 1)
            )

    hours = forecasts.usual_day(at)

    assert {hour: quota for hour, quota in enumerate(hours) if quota} == {12: 9, 11: 15}


# --- What it costs ----------------------------------------------------------------------------


HOURS_AGO = {
    "postgresql": "timestamptz '2026-03-02 12:00+00' - h.number * interval '1 hour'",
    "sqlite": "datetime('2026-03-02 12:00:00', '-' || h.number || ' hours')",
}


@pytest.fixture
def much() -> tuple[int, int]:
    """Months of many channels and people; the numbers of one of each."""
    people = [make_user() for _ in range(12)]
    channel = make_channel()
    UsageDaily.objects.bulk_create(
        UsageDaily(day=NOON.date() - number * DAY, account_id=person.pk, token_id=token, model="m", quota=1)
        for number in range(120)
        for person in people
        for token in range(5)
    )
    made = settlement(make_token(people[0]), channel, quota=0)
    names = ("username", "token_name", "channel_id", "channel_name", "model", "served_model", "price_version")
    UsageRecord.objects.bulk_create(
        UsageRecord(
            request_id=f"r{number}",
            account_id=people[number % len(people)].pk,
            token_id=1,
            quota=0,
            estimate=0,
            group_multiplier=1,
            usage_source="upstream",
            status="ok",
            http_status=200,
            is_stream=False,
            created_at=NOON - number * timedelta(minutes=1),
            **{name: getattr(made, name) for name in names},
        )
        for number in range(15_000)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"""
            INSERT INTO billing_usagehourly (hour, channel_id, model, request_count, failure_count,
                prompt_tokens, cached_tokens, completion_tokens, quota, upstream_cost, duration_ms)
            WITH RECURSIVE
                h (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM h WHERE number < 1999),
                c (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM c WHERE number < 59)
            SELECT {HOURS_AGO[connection.vendor]}, {channel.pk} + c.number, 'm', 1, 0, 0, 0, 0, 1, 1, 1
            FROM h, c""")
        cursor.execute("ANALYZE")
    return channel.pk, people[0].pk


def read_whole(rows: QuerySet[Any]) -> list[str]:
    """The tables that a query reads from their beginning to their end."""
    plan = str(rows.explain())
    return re.findall(r"Seq Scan on (\w+)", plan) + re.findall(r"SCAN (\w+)", plan)


def test_no_query_reads_a_table_to_its_end(much: tuple[int, int]) -> None:
    channel, person = much

    assert read_whole(UsageHourly.objects.filter(upstream_cost=5)) == ["billing_usagehourly"]
    assert read_whole(forecasts.costs_by_hour([channel], at=NOON)) == []
    assert re.search(r"hour=\?|hour = ANY", forecasts.costs_by_hour([channel], at=NOON).explain())
    assert read_whole(forecasts.farthest_call(person)) == []
    assert read_whole(forecasts.calls_by_hour(person, first=0)) == []
    assert read_whole(forecasts.days_of(person, at=NOON)) == []

    found = calls_between(channel, NOON - timedelta(minutes=10), NOON).order_by("-pk")
    assert "usage_record_by_time" in found.explain()
    assert len(found) == 10
