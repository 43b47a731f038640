import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.models import UsageRecord
from billing.queries.usage import price_words
from billing.services.calls import settle
from billing.services.tokens import delete_token
from tests.factories import NOON, MadeToken, make_channel, make_token, make_user, settlement
from tests.portal.conftest import HTMX

URL = "/usage/"
EXPORT = "/usage/export/"


@pytest.fixture
def token(ann: User) -> MadeToken:
    return make_token(ann, name="plug-in")


def _call(token: MadeToken, quota: int = 10, **fields: Any) -> UsageRecord:
    call = settlement(token, make_channel(), quota=quota, **fields)
    settle(settlements=[call], at=call.created_at)
    return UsageRecord.objects.get(request_id=call.request_id)


def _shown(response: HttpResponse) -> list[int]:
    return [call.quota for call in response.context["calls"]]


def _rows(response: Any) -> list[list[str]]:
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def test_a_call_is_listed_with_what_it_used_and_cost(console: Client, token: MadeToken) -> None:
    call = _call(token, 5_001, prompt_tokens=48_210, cached_tokens=1_000, completion_tokens=733)

    text = console.get(URL).text

    for part in ("$0.010002", "48,210", "1,000 cached", "733", "plug-in", "test-model", call.request_id):
        assert part in text


def test_only_ones_own_calls_are_listed(console: Client, token: MadeToken) -> None:
    _call(make_token(make_user(balance=1000), name="theirs"), 77)

    assert _shown(console.get(URL)) == []


def test_estimated_and_overrun_calls_are_marked(console: Client, token: MadeToken) -> None:
    _call(token, 10, estimate=9, usage_source="estimated")

    text = console.get(URL).text

    assert "estimated</span>" in text
    assert "overrun</span>" in text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"model": "m2"}, [2]),
        ({"status": "failed"}, [3]),
        ({"since": "2026-03-03"}, [4]),
        ({"until": "2026-03-02"}, [3, 2, 1]),
        ({"since": "2026-03-03", "until": "2026-03-03"}, [4]),
        ({"since": "0001-01-01", "until": "9999-12-31"}, [4, 3, 2, 1]),
        ({}, [4, 3, 2, 1]),
    ],
)
def test_filters_choose_calls(
    console: Client, token: MadeToken, query: dict[str, str], expected: list[int]
) -> None:
    _call(token, 1)
    _call(token, 2, model="m2")
    _call(token, 3, status="failed")
    _call(token, 4, created_at=NOON + timedelta(hours=12))

    assert _shown(console.get(URL, query)) == expected


def test_one_token_can_be_chosen_even_after_it_was_deleted(
    console: Client, token: MadeToken, ann: User
) -> None:
    _call(token, 1)
    gone = make_token(ann, name="gone")
    _call(gone, 2)
    pk = gone.token.pk
    delete_token(actor=None, token=gone.token)

    response = console.get(URL, {"token": pk})

    assert _shown(response) == [2]
    assert f"Deleted token {pk}" in response.text


def test_the_calls_of_one_movement_can_be_chosen(console: Client, token: MadeToken) -> None:
    first, _second = _call(token, 1), _call(token, 2)

    response = console.get(URL, {"entry": first.ledger_entry_id})

    assert _shown(response) == [1]
    assert response.context["totals"] is None


def test_another_persons_movement_shows_nothing(console: Client, token: MadeToken) -> None:
    theirs = _call(make_token(make_user(balance=1000)), 5)

    assert _shown(console.get(URL, {"entry": theirs.ledger_entry_id})) == []


def test_sums_are_of_all_calls_that_match_and_not_of_this_page_only(
    console: Client, token: MadeToken
) -> None:
    channel = make_channel()
    settle(settlements=[settlement(token, channel, quota=3) for _ in range(60)], at=NOON)
    _call(token, 1000, model="other")

    totals = console.get(URL, {"model": "test-model"}).context["totals"]

    assert (totals.request_count, totals.quota, totals.prompt_tokens) == (60, 180, 600)


def test_by_result_there_are_no_sums_rather_than_wrong_ones(console: Client, token: MadeToken) -> None:
    _call(token, 1, status="failed")

    assert console.get(URL, {"status": "failed"}).context["totals"] is None


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"since": "2026-03-02", "until": "2026-03-01"}, "The last day is before the first."),
        ({"since": "yesterday"}, "Enter a valid date."),
        ({"token": "999999"}, "Select a valid choice."),
        ({"status": "odd"}, "Select a valid choice."),
        ({"entry": "x"}, "Enter a whole number."),
        ({"entry": "99999999999999999999999"}, "less than or equal"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_with_the_reason(
    console: Client, token: MadeToken, query: dict[str, str], reason: str
) -> None:
    _call(token, 12_345)

    response = console.get(URL, query)

    assert response.status_code == 422
    assert reason in response.text
    assert "$0.02469" not in response.text


def test_pages_go_on_without_gap_or_repeat_and_keep_the_filter(console: Client, token: MadeToken) -> None:
    channel = make_channel()
    settle(settlements=[settlement(token, channel, quota=number) for number in range(1, 61)], at=NOON)

    first = console.get(URL, {"model": "test-model"})
    second = console.get(URL, {"model": "test-model", "cursor": first.context["next_cursor"]})

    assert _shown(first) + _shown(second) == list(range(60, 0, -1))
    assert "model=test-model&amp;cursor=" in first.text


def test_the_list_takes_few_queries_for_a_full_page(
    console: Client, token: MadeToken, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    channel = make_channel()
    settle(settlements=[settlement(token, channel, quota=1) for _ in range(60)], at=NOON)

    with django_assert_max_num_queries(6):
        console.get(URL)


def test_a_calls_page_says_why_it_cost_what_it_cost(console: Client, token: MadeToken) -> None:
    call = _call(token, 5_000, estimate=9_000, price_version="operator:12")

    response = console.get(reverse("portal:usage-detail", args=[call.pk]), headers=HTMX)

    assert "<html" not in response.text
    for part in (call.request_id, "$0.01", "$0.018", "The operator&#x27;s price, version 12"):
        assert part in response.text


def test_another_persons_call_is_not_found(console: Client, token: MadeToken) -> None:
    theirs = _call(make_token(make_user(balance=1000)), 5)

    assert console.get(reverse("portal:usage-detail", args=[theirs.pk])).status_code == 404


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("operator:12", "The operator's price, version 12"),
        ("catalogue:0.2.3", "List price, catalogue 0.2.3"),
        ("else", "else"),
    ],
)
def test_price_versions_are_put_into_words(version: str, words: str) -> None:
    assert price_words(version) == words


def test_the_file_has_the_filtered_calls_and_amounts_in_both_units(console: Client, token: MadeToken) -> None:
    _call(token, 1, model="other")
    call = _call(token, 5_001)

    response = console.get(EXPORT, {"model": "test-model"})

    header, *rows = _rows(response)
    assert response.headers["Content-Disposition"] == 'attachment; filename="usage.csv"'
    assert [dict(zip(header, row, strict=True))["request_id"] for row in rows] == [call.request_id]
    found = dict(zip(header, rows[0], strict=True))
    assert (found["quota"], found["charged_usd"], found["created_at"]) == (
        "5001",
        "0.010002",
        "2026-03-02T12:00:00+00:00",
    )


def test_text_that_a_spreadsheet_would_run_is_made_harmless(console: Client, ann: User) -> None:
    _call(make_token(ann, name='=HYPERLINK("http://evil")'), 1)

    header, row = _rows(console.get(EXPORT))

    assert row[header.index("token_name")] == '\'=HYPERLINK("http://evil")'


def test_the_file_has_only_ones_own_calls(console: Client, token: MadeToken) -> None:
    _call(make_token(make_user(balance=1000)), 5)

    assert len(_rows(console.get(EXPORT))) == 1


def test_a_wrong_filter_leads_from_the_file_to_the_reason(console: Client, token: MadeToken) -> None:
    response = console.get(EXPORT, {"since": "x"})

    assert (response.status_code, response.headers["Location"]) == (302, "/usage/?since=x")
