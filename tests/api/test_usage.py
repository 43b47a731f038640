"""Calls and their sums, for programs."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from billing.models import Channel, UsageRecord
from billing.queries import usage as queries
from billing.services import channels, tokens
from billing.services.calls import settle
from tests.api.conftest import Program
from tests.factories import (
    NOON,
    MadeToken,
    make_admin,
    make_channel,
    make_root,
    make_token,
    make_user,
    settlement,
)

pytestmark = pytest.mark.django_db
MARCH = "since=2026-03-01T00:00:00Z&until=2026-04-01T00:00:00Z"
SUMS = ("request_count", "failure_count", "prompt_tokens", "cached_tokens", "completion_tokens", "quota")


def call(made: MadeToken, channel: Channel, *, quota: int = 10, **fields: Any) -> UsageRecord:
    made_call = settlement(made, channel, quota=quota, **fields)
    settle(settlements=[made_call], at=made_call.created_at)
    return UsageRecord.objects.get(request_id=made_call.request_id)


def call_of(user: User, **fields: Any) -> UsageRecord:
    return call(make_token(user), make_channel(), **fields)


def summary(asks: Program, group_by: str, query: str = MARCH) -> Any:
    answer = asks.get(f"/usage/summary?group_by={group_by}&{query}")
    assert answer.status == 200, answer.body
    return answer.body


def quotas(body: Any) -> dict[str, int]:
    return {item["key"]: item["quota"] for item in body["items"]}


def fields_of(answer) -> list[str]:
    return [error["field"] for error in answer.body["errors"]]


def queries_of(asks, path: str) -> int:
    asks.get("/me")  # notes by the minute that the access token was used
    with CaptureQueriesContext(connection) as context:
        answer = asks.get(path)
    assert answer.status == 200
    return len(context)


def test_a_user_sees_their_own_calls_without_what_is_the_operators(program) -> None:
    user = make_user(balance=100)
    mine = call_of(user, quota=20, cached_tokens=3, group_multiplier=Decimal("0.500000"), is_stream=True)
    call_of(make_user(balance=100))

    [item] = program(user, "read").get("/usage").body["items"]

    same = ("id", "request_id", "username", "token_id", "model", "quota", "cached_tokens", "ledger_entry_id")
    assert {name: item[name] for name in same} == {name: getattr(mine, name) for name in same}
    assert (item["user_id"], item["group_multiplier"], item["is_stream"]) == (user.pk, "0.5", True)
    assert item["created_at"] == "2026-03-02T12:00:00.000000Z"
    assert [item[name] for name in ("channel_id", "channel_name", "upstream_cost_usd")] == [None] * 3


def test_an_administrator_sees_everybodys_calls_but_roots(program) -> None:
    root, admin = make_root(balance=100), make_admin(balance=100)
    of_root, of_admin, of_user = (call_of(who, quota=3) for who in (root, admin, make_user(balance=100)))

    def listed(who: User) -> list[int]:
        return [item["id"] for item in program(who).get("/usage").body["items"]]

    assert listed(admin) == [of_user.pk, of_admin.pk]
    assert listed(root) == [of_user.pk, of_admin.pk, of_root.pk]
    assert program(admin).get(f"/usage?user={root.pk}").body["items"] == []


def test_an_operator_sees_who_served_a_call_and_what_the_provider_takes(program) -> None:
    made = call_of(make_user(balance=100), upstream_cost=1_234_567)

    [item] = program(make_admin(), "read").get("/usage").body["items"]

    assert (item["channel_id"], item["channel_name"]) == (made.channel_id, "upstream")
    assert item["upstream_cost_usd"] == "0.001234567"


def test_calls_are_filtered(program) -> None:
    user, channel = make_user(balance=100), make_channel()
    one, other = make_token(user), make_token(user)
    first = call(one, channel, model="a")
    second = call(other, channel, model="b", created_at=NOON + timedelta(hours=1))
    third = call(other, channel, model="a", status="failed", quota=0, created_at=NOON + timedelta(hours=2))
    of_another = call_of(make_user(balance=100), created_at=NOON + timedelta(hours=3))
    asks = program(make_admin())

    def listed(query: str) -> list[int]:
        return [item["id"] for item in asks.get(f"/usage?{query}").body["items"]]

    assert listed(f"user={user.pk}") == [third.pk, second.pk, first.pk]
    assert listed(f"token={other.token.pk}") == [third.pk, second.pk]
    assert listed(f"user={user.pk}&model=a") == [third.pk, first.pk]
    assert listed("status=failed") == [third.pk]
    assert listed("since=2026-03-02T13:00:00Z&until=2026-03-02T15:00:00Z") == [third.pk, second.pk]
    assert listed("since=2026-03-02T22:00:00%2B08:00") == [of_another.pk, third.pk]
    assert listed(f"request_id={second.request_id}") == [second.pk]
    assert listed("model=nobody") == []


def test_filters_show_a_user_nothing_of_others(program) -> None:
    other = make_user(balance=100)
    made = call_of(other)
    asks = program(make_user())

    for query in (f"user={other.pk}", f"token={made.token_id}", f"request_id={made.request_id}"):
        assert asks.get(f"/usage?{query}").body["items"] == []


def test_calls_are_paged(program) -> None:
    user, channel = make_user(balance=100), make_channel()
    made = make_token(user)
    ids = [call(made, channel).pk for _ in range(3)]
    asks = program(user)

    first = asks.get("/usage?limit=2").body
    second = asks.get(f"/usage?limit=2&cursor={first['next_cursor']}").body

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("user=0", "query.user"),
        ("user=-1", "query.user"),
        (f"token={2**63}", "query.token"),
        ("token=x", "query.token"),
        ("model=", "query.model"),
        ("model=%00", "query.model"),
        (f"model={'x' * 129}", "query.model"),
        ("status=lost", "query.status"),
        ("request_id=%00", "query.request_id"),
        ("since=yesterday", "query.since"),
        ("since=1772452800", "query.since"),
        ("since=2026-03-02", "query.since"),
        ("since=2026-03-02T12:00:00", "query.since"),
        ("since=2026-02-30T12:00:00Z", "query.since"),
        ("since=0001-01-01T00:00:00%2B14:00", "query.since"),
        ("until=9999-12-31T23:59:59-14:00", "query.until"),
        ("limit=0", "query.limit"),
        ("limit=201", "query.limit"),
        ("cursor=-1", "query.cursor"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_naming_it(program, query, field) -> None:
    answer = program(make_admin()).get(f"/usage?{query}")

    assert (answer.status, fields_of(answer)) == (422, [field])


def test_a_list_of_many_calls_takes_as_many_queries_as_one_of_few(program) -> None:
    channel = make_channel()
    asks = program(make_admin())
    for _ in range(20):
        call(make_token(make_user(balance=100)), channel)

    assert queries_of(asks, "/usage?limit=2") == queries_of(asks, "/usage?limit=20")


def test_sums_by_day_are_in_order_and_complete(program) -> None:
    user, channel = make_user(balance=1_000), make_channel()
    made = make_token(user)
    call(made, channel, quota=5, cached_tokens=2, created_at=datetime(2026, 3, 3, tzinfo=UTC))
    call(made, channel, quota=7, created_at=datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC))
    call(made, channel, quota=0, status="failed", created_at=NOON)
    call_of(make_user(balance=100))

    body = summary(program(user, "read"), "day")

    assert [(item["key"], item["label"]) for item in body["items"]] == [
        ("2026-03-02", "2026-03-02"),
        ("2026-03-03", "2026-03-03"),
    ]
    assert [[item[name] for name in SUMS] for item in body["items"]] == [
        [2, 1, 20, 0, 10, 7],
        [1, 0, 10, 2, 5, 5],
    ]
    assert body["totals"] == dict(zip(SUMS, [3, 1, 30, 2, 15, 12], strict=True))
    assert body["is_complete"] is True


def test_sums_by_model_begin_with_the_dearest(program) -> None:
    user, channel = make_user(balance=1_000), make_channel()
    made = make_token(user)
    for model, quota in (("cheap", 1), ("dear", 9), ("cheap", 2)):
        call(made, channel, model=model, quota=quota)

    assert list(quotas(summary(program(user), "model")).items()) == [("dear", 9), ("cheap", 3)]


def test_sums_by_token_have_its_name_until_it_is_deleted(program) -> None:
    user, channel = make_user(balance=1_000), make_channel()
    kept, gone = make_token(user, name="laptop"), make_token(user)
    call(kept, channel, quota=2)
    call(gone, channel, quota=1)
    tokens.delete_token(actor=None, token=gone.token)

    items = summary(program(user), "token")["items"]

    assert [(item["key"], item["label"], item["quota"]) for item in items] == [
        (str(kept.token.pk), "laptop", 2),
        (str(gone.token.pk), None, 1),
    ]


def test_sums_by_user_leave_root_out_for_administrators(program) -> None:
    user, root = make_user(balance=100, username="ann"), make_root(balance=100)
    call_of(user, quota=2)
    call_of(root, quota=3)

    by_admin, by_root = (summary(program(who), "user") for who in (make_admin(), root))

    assert [(item["key"], item["label"]) for item in by_admin["items"]] == [(str(user.pk), "ann")]
    assert by_admin["totals"]["quota"] == 2
    assert quotas(by_root) == {str(root.pk): 3, str(user.pk): 2}
    assert summary(program(make_admin()), "day")["totals"]["quota"] == 2


def test_sums_by_channel_are_over_everybody_and_have_its_name_until_it_is_deleted(program) -> None:
    kept, gone = make_channel(name="kept"), make_channel()
    for person, channel, quota in ((make_root, kept, 5), (make_user, kept, 4), (make_user, gone, 1)):
        call(make_token(person(balance=100)), channel, quota=quota)
    channels.delete_channel(actor=None, channel=gone)

    body = summary(program(make_admin()), "channel")

    assert [(item["key"], item["label"], item["quota"]) for item in body["items"]] == [
        (str(kept.pk), "kept", 9),
        (str(gone.pk), None, 1),
    ]
    assert body["totals"]["quota"] == 10


def test_sums_by_hour_are_in_order(program) -> None:
    made, channel = make_token(make_user(balance=100)), make_channel()
    for minutes, quota in ((61, 3), (0, 1), (59, 1)):
        call(made, channel, quota=quota, created_at=NOON + timedelta(minutes=minutes))

    body = summary(program(make_admin(), "read"), "hour")

    assert list(quotas(body).items()) == [("2026-03-02T12:00:00Z", 2), ("2026-03-02T13:00:00Z", 3)]


def test_sums_are_narrowed_to_a_user_a_token_and_a_model(program) -> None:
    user, channel = make_user(balance=100), make_channel()
    one, other = make_token(user), make_token(user)
    call(one, channel, model="a", quota=1)
    call(other, channel, model="a", quota=2)
    call(other, channel, model="b", quota=4)
    call_of(make_user(balance=100), model="a", quota=8)
    asks = program(make_admin())

    def total(group_by: str, query: str) -> int:
        return summary(asks, group_by, f"{MARCH}&{query}")["totals"]["quota"]

    assert total("day", f"user={user.pk}") == 7
    assert total("model", f"token={other.token.pk}") == 6
    assert total("user", "model=a") == 11
    assert total("hour", "model=b") == 4
    assert summary(program(make_user()), "day", f"{MARCH}&user={user.pk}")["items"] == []


def test_days_and_hours_that_are_touched_are_taken_whole(program) -> None:
    made, channel = make_token(make_user(balance=100)), make_channel()
    for hours in (-13, -12, -1, 0, 11, 12):
        call(made, channel, quota=1, created_at=NOON + timedelta(hours=hours))
    asks = program(make_admin())
    touched = "since=2026-03-02T11:30:00Z&until=2026-03-02T12:00:01Z"

    by_day, by_hour = (summary(asks, group_by, touched) for group_by in ("day", "hour"))

    assert (quotas(by_day), quotas(by_hour)) == (
        {"2026-03-02": 4},
        {"2026-03-02T11:00:00Z": 1, "2026-03-02T12:00:00Z": 1},
    )
    assert [by_day[name] for name in ("since", "until")] == [
        "2026-03-02T00:00:00.000000Z",
        "2026-03-03T00:00:00.000000Z",
    ]
    assert [by_hour[name] for name in ("since", "until")] == [
        "2026-03-02T11:00:00.000000Z",
        "2026-03-02T13:00:00.000000Z",
    ]


def test_an_end_at_midnight_touches_no_further_day(program) -> None:
    call_of(make_user(balance=100))
    asks = program(make_admin())

    before = summary(asks, "day", "since=2026-03-01T00:00:00Z&until=2026-03-02T00:00:00Z")

    assert (before["items"], before["until"]) == ([], "2026-03-02T00:00:00.000000Z")


def test_without_times_it_is_the_last_thirty_days(program) -> None:
    user, channel, now = make_user(balance=100), make_channel(), timezone.now()
    made = make_token(user)
    for days, quota in ((0, 1), (29, 2), (32, 4)):
        call(made, channel, quota=quota, created_at=now - timedelta(days=days))
    asks = program(user)

    assert summary(asks, "day", "")["totals"]["quota"] == 3
    assert (
        summary(asks, "day", f"since={now - timedelta(days=40):%Y-%m-%dT%H:%M:%SZ}")["totals"]["quota"] == 7
    )
    assert (
        summary(asks, "day", f"until={now - timedelta(days=10):%Y-%m-%dT%H:%M:%SZ}")["totals"]["quota"] == 6
    )


def test_what_is_left_out_of_a_long_list_is_in_the_totals(program, monkeypatch) -> None:
    monkeypatch.setattr(queries, "MAX_GROUPS", 2)
    made, channel = make_token(make_user(balance=100)), make_channel()
    for model, quota in (("a", 1), ("b", 2), ("c", 4)):
        call(made, channel, model=model, quota=quota)

    body = summary(program(make_admin()), "model")

    assert (quotas(body), body["is_complete"]) == ({"c": 4, "b": 2}, False)
    assert (body["totals"]["quota"], body["totals"]["request_count"]) == (7, 3)


def test_nothing_sums_up_to_nothing(program) -> None:
    body = summary(program(make_user()), "day")

    assert (body["items"], body["totals"]) == ([], dict.fromkeys(SUMS, 0))


@pytest.mark.parametrize("group_by", ["hour", "channel", "user"])
def test_sums_over_everybody_are_for_operators(program, group_by) -> None:
    answer = program(make_user()).get(f"/usage/summary?group_by={group_by}")

    assert (answer.status, answer.code) == (403, "permission_denied")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query.group_by"),
        ("group_by=week", "query.group_by"),
        ("group_by=day&since=2026-03-02T00:00:00Z&until=2026-03-02T00:00:00Z", "query.until"),
        ("group_by=day&since=2026-03-02T00:00:00Z&until=2026-03-01T00:00:00Z", "query.until"),
        ("group_by=day&since=2026-03-02T00:00:00Z&until=2027-03-03T00:00:01Z", "query.since"),
        ("group_by=day&since=1970-01-01T00:00:00Z", "query.since"),
        ("group_by=day&since=2099-01-01T00:00:00Z", "query.until"),
        ("group_by=day&since=yesterday", "query.since"),
        ("group_by=hour&until=9999-12-31T23:59:59Z", "query.until"),
        ("group_by=day&until=0001-01-01T00:00:00Z", "query.until"),
        ("group_by=hour&user=1", "query.user"),
        ("group_by=channel&token=1", "query.token"),
        ("group_by=day&user=0", "query.user"),
        (f"group_by=day&token={2**63}", "query.token"),
        ("group_by=day&model=%00", "query.model"),
    ],
)
def test_sums_that_make_no_sense_are_refused_naming_why(program, query, field) -> None:
    answer = program(make_admin()).get(f"/usage/summary?{query}")

    assert (answer.status, answer.code, fields_of(answer)) == (422, "invalid_request", [field])


@pytest.mark.parametrize("until", ["1970-01-01T00:00:00Z", "2099-12-31T23:59:59.999999-23:59"])
@pytest.mark.parametrize("group_by", ["day", "hour"])
def test_the_first_and_the_last_times_that_there_are_can_be_summed(program, group_by, until) -> None:
    assert summary(program(make_admin()), group_by, f"until={until}")["items"] == []


def test_a_year_and_a_day_can_be_summed_at_once(program) -> None:
    query = "since=2026-03-02T00:00:00Z&until=2027-03-03T00:00:00Z"

    assert summary(program(make_admin()), "hour", query)["is_complete"] is True


@pytest.mark.parametrize("group_by", ["day", "hour", "model", "token", "channel", "user"])
def test_many_sums_take_as_many_queries_as_few(program, group_by) -> None:
    asks = program(make_root())
    path = f"/usage/summary?group_by={group_by}&{MARCH}"

    def one_more(number: int) -> None:
        user, channel = make_user(balance=100), make_channel()
        call(make_token(user), channel, model=f"m{number}", created_at=NOON + timedelta(days=number))

    for number in range(2):
        one_more(number)
    few = queries_of(asks, path)
    for number in range(2, 20):
        one_more(number)

    assert queries_of(asks, path) == few
    assert len(asks.get(path).body["items"]) == 20


@pytest.mark.parametrize("path", ["/usage", "/usage/summary?group_by=day"])
def test_a_visitor_sees_no_calls(path) -> None:
    assert Program().get(path).status == 401


@pytest.mark.parametrize("path", ["/usage", "/usage/summary?group_by=day"])
def test_calls_are_read_with_the_scope_for_reading(program, path) -> None:
    assert program(make_user(), "tokens").get(path).code == "missing_scope"
