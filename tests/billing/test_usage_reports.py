"""The tokens that a provider counted around an interval, against ours."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from billing.models import Channel, Reconciliation
from billing.services.calls import settle
from billing.services.usage_reports import (
    Comparison,
    Finding,
    UsageNotReportedError,
    compare_usage,
    has_usage_report,
)
from billing.upstream.balances.errors import BalanceRefusedError, BalanceUnavailableError
from billing.upstream.usage_reports.report import Span, Tokens
from tests.billing.upstream.balances.provider import Answering, Provider
from tests.billing.upstream.usage_reports.reporting import (
    ADMIN_KEY,
    anthropic_page,
    anthropic_result,
    make_interval,
    make_reporting_channel,
    openai_page,
    openai_result,
    reporting,
)
from tests.factories import NOON, make_channel, make_token, make_user, settlement

pytestmark = pytest.mark.django_db
BEGAN, ENDED = NOON + timedelta(seconds=30), NOON + timedelta(minutes=9, seconds=20)
SPAN_END = NOON + timedelta(minutes=10)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with reporting(monkeypatch) as server:
        yield server


def interval(channel: Channel, **money: str) -> Reconciliation:
    return make_interval(channel, began_at=BEGAN, ended_at=ENDED, **money)


def call(channel: Channel, *, at: datetime = NOON + timedelta(minutes=5), **fields: Any) -> None:
    usual = {"served_model": "gpt-4o", "prompt_tokens": 100, "completion_tokens": 50}
    token = make_token(make_user(balance=10_000))
    settle(settlements=[settlement(token, channel, quota=5, created_at=at, **{**usual, **fields})], at=at)


def told(*results: dict[str, Any]) -> str:
    usual = {"model": "gpt-4o-2024-08-06", "requests": 1, "prompt": 100, "cached": 0, "completion": 50}
    return openai_page((NOON, [openai_result(**{**usual, **result}) for result in results]))


def compared(provider: Provider, row: Reconciliation, *results: dict[str, Any]) -> Comparison:
    provider.says(told(*results))
    return compare_usage(row=row, at=LATER)


def tokens(requests: int, prompt: int, cached: int, completion: int) -> Tokens:
    return Tokens(requests=requests, prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion)


def test_both_sides_are_counted_over_the_same_whole_minutes(provider: Provider) -> None:
    channel = make_reporting_channel()
    for number, at in enumerate((NOON, NOON + timedelta(minutes=5), SPAN_END - timedelta(microseconds=1))):
        call(channel, at=at, prompt_tokens=10**number)
    call(channel, at=NOON - timedelta(microseconds=1), prompt_tokens=10**6)
    call(channel, at=SPAN_END, prompt_tokens=10**6)
    call(make_reporting_channel(), prompt_tokens=10**6)
    row = interval(channel)

    found = compared(provider, row)

    assert found.span == Span(since=NOON, until=SPAN_END, width="1m")
    assert found.total.ours == tokens(3, 111, 0, 150)
    assert f"start_time={NOON.timestamp():.0f}&end_time={SPAN_END.timestamp():.0f}" in provider.asked[0].url


def test_a_call_of_which_nothing_was_used_is_counted_on_neither_side(provider: Provider) -> None:
    channel = make_reporting_channel()
    call(channel)
    call(channel, usage_source="none", prompt_tokens=0, completion_tokens=0, status="failed", http_status=502)

    found = compared(provider, interval(channel), {})

    assert (found.total.ours.requests, found.total.theirs.requests) == (1, 1)


def test_an_edition_of_a_model_is_compared_with_its_name(provider: Provider) -> None:
    channel = make_reporting_channel()
    call(channel, cached_tokens=7)
    call(channel, served_model="gpt-4o-2024-08-06")
    call(channel, served_model="gpt-4o-mini")

    found = compared(
        provider,
        interval(channel),
        {"requests": 2, "prompt": 210, "completion": 100, "cached": 8},
        {"model": "o3-2025-04-16", "requests": 1, "prompt": 1, "completion": 1},
    )

    assert [(one.model, one.difference) for one in found.models] == [
        ("gpt-4o-mini", -150),
        ("gpt-4o", 10),
        ("o3", 2),
    ]
    both = found.models[1]
    assert both.names == ["gpt-4o", "gpt-4o-2024-08-06"]
    assert (both.ours, both.theirs) == (tokens(2, 200, 7, 100), tokens(2, 210, 8, 100))
    assert (found.total.ours, found.total.theirs) == (tokens(3, 300, 7, 150), tokens(3, 211, 8, 101))


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125", True),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", True),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("claude-sonnet-4", "claude-sonnet-4-5", False),
        ("gpt-4-preview", "gpt-4-1106-preview", False),
        ("ft:gpt-4o-2024-08-06:us::1", "gpt-4o-2024-08-06", False),
    ],
)
def test_names_of_one_model_are_known(one: str, other: str, is_same: bool, provider: Provider) -> None:
    channel = make_reporting_channel()
    call(channel, served_model=one)

    found = compared(provider, interval(channel), {"model": other})

    assert len(found.models) == (1 if is_same else 2)


@pytest.mark.parametrize(
    ("results", "finding"),
    [
        ([{"prompt": 1000, "completion": 500}], Finding.PRICE),
        ([{"prompt": 1052, "completion": 480}], Finding.PRICE),
        ([{"prompt": 1054, "completion": 500}], Finding.PROVIDER_MORE),
        ([{"prompt": 1000, "completion": 530}], Finding.PROVIDER_MORE),
        ([{"prompt": 1000, "completion": 500}, {"model": "o3", "prompt": 500}], Finding.PROVIDER_MORE),
        ([{"prompt": 900, "completion": 500}], Finding.OURS_MORE),
        ([], Finding.OURS_MORE),
        ([{"prompt": 1200, "completion": 400}], Finding.COUNTED_OTHERWISE),
        ([{"model": "o3", "prompt": 1000, "completion": 500}], Finding.OTHER_MODELS),
        ([{"prompt": 990, "completion": 495}, {"model": "o3", "prompt": 10, "completion": 5}], Finding.PRICE),
        ([{"prompt": 1000, "completion": 500, "cached": 600}], Finding.CACHED_TOKENS),
    ],
)
def test_what_follows_is_said(results: list[dict[str, Any]], finding: Finding, provider: Provider) -> None:
    channel = make_reporting_channel()
    call(channel, prompt_tokens=1000, completion_tokens=500)

    assert compared(provider, interval(channel), *results).finding == finding


OVER_THE_END = {"at": SPAN_END + timedelta(minutes=2), "duration_ms": 120_001}
FROM_THE_END = {"at": SPAN_END + timedelta(minutes=2), "duration_ms": 120_000}
OVER_THE_BEGINNING = {"at": NOON + timedelta(minutes=1), "duration_ms": 90_000}


@pytest.mark.parametrize(
    ("long_call", "result", "finding"),
    [
        (OVER_THE_END, {"prompt": 1100, "completion": 550}, Finding.CALLS_IN_FLIGHT),
        (OVER_THE_END, {"prompt": 600, "completion": 50}, Finding.CALLS_IN_FLIGHT),
        (OVER_THE_END, {"prompt": 1200, "completion": 550}, Finding.PROVIDER_MORE),
        (OVER_THE_END, {"prompt": 1100, "completion": 600}, Finding.PROVIDER_MORE),
        (OVER_THE_END, {"prompt": 80, "completion": 50}, Finding.OURS_MORE),
        (FROM_THE_END, {"prompt": 1100, "completion": 550}, Finding.PROVIDER_MORE),
        (OVER_THE_BEGINNING, {"prompt": 100, "completion": 50}, Finding.CALLS_IN_FLIGHT),
        (OVER_THE_BEGINNING, {"prompt": 1100, "completion": 50}, Finding.CALLS_IN_FLIGHT),
        (OVER_THE_BEGINNING, {"prompt": 60, "completion": 50}, Finding.CALLS_IN_FLIGHT),
        (OVER_THE_BEGINNING, {"prompt": 40, "completion": 50}, Finding.OURS_MORE),
        (OVER_THE_BEGINNING, {"prompt": 100, "completion": 20}, Finding.OURS_MORE),
        (OVER_THE_BEGINNING, {"prompt": 1200, "completion": 550}, Finding.PROVIDER_MORE),
    ],
)
def test_a_call_under_way_at_an_edge_is_blamed_for_no_more_than_it_used_there(
    long_call: dict[str, Any], result: dict[str, Any], finding: Finding, provider: Provider
) -> None:
    channel = make_reporting_channel()
    call(channel)
    call(channel, prompt_tokens=1000, completion_tokens=500, **long_call)
    call(make_reporting_channel(), prompt_tokens=10**6, completion_tokens=10**6, **OVER_THE_END)

    assert compared(provider, interval(channel), result).finding == finding


def test_calls_at_both_edges_may_make_one_kind_more_and_the_other_less(provider: Provider) -> None:
    channel = make_reporting_channel()
    call(channel)
    call(channel, prompt_tokens=0, completion_tokens=500, **OVER_THE_BEGINNING)
    call(channel, prompt_tokens=1000, completion_tokens=0, **OVER_THE_END)

    found = compared(provider, interval(channel), {"prompt": 1100, "completion": 50})

    assert found.finding == Finding.CALLS_IN_FLIGHT


def test_where_neither_money_nor_tokens_differ_no_price_is_blamed(provider: Provider) -> None:
    channel = make_reporting_channel()
    call(channel)

    assert compared(provider, interval(channel, metered="2"), {}).finding == Finding.AGREES


def test_where_nobody_counted_anything_that_is_said(provider: Provider) -> None:
    found = compared(provider, interval(make_reporting_channel()))

    assert (found.finding, list(found.models)) == (Finding.NOTHING, [])


def test_what_is_not_told_is_unknown_and_no_difference(provider: Provider) -> None:
    channel = make_reporting_channel("https://api.anthropic.com")
    call(channel, served_model="claude-opus-5", prompt_tokens=1700, completion_tokens=500, cached_tokens=200)
    opus = anthropic_result("claude-opus-5", uncached=500, cached=200, written=(600, 400), output=500)
    provider.says(anthropic_page(("2026-03-02T12:00:00Z", [opus])))

    found = compare_usage(row=interval(channel), at=LATER)

    assert (found.total.theirs.requests, found.total.theirs.prompt_tokens) == (None, 1700)
    assert found.finding == Finding.PRICE
    assert provider.asked[0].headers["x-api-key"] == ADMIN_KEY


def test_cached_tokens_that_are_not_told_are_no_difference(provider: Provider) -> None:
    channel = make_reporting_channel()
    call(channel, cached_tokens=90)
    provider.says(told({}).replace('"input_cached_tokens":0', '"input_cached_tokens":null'))

    found = compare_usage(row=interval(channel), at=LATER)

    assert (found.total.theirs.cached_tokens, found.finding) == (None, Finding.PRICE)


@pytest.mark.parametrize(("minutes", "is_recent"), [(9, True), (24, True), (25, False)])
def test_a_report_of_what_was_just_now_may_lack_some_of_it(
    minutes: int, is_recent: bool, provider: Provider
) -> None:
    row = interval(make_reporting_channel())
    provider.says(told())

    assert compare_usage(row=row, at=NOON + timedelta(minutes=minutes)).is_recent is is_recent


@pytest.mark.parametrize(
    ("base_url", "tells"),
    [
        ("https://api.openai.com", True),
        ("https://api.anthropic.com", True),
        ("https://api.deepseek.com", False),
        ("http://one-api:3000", False),
    ],
)
def test_not_every_provider_tells(base_url: str, tells: bool) -> None:
    assert has_usage_report(make_channel(base_url=base_url)) is tells


def test_where_nobody_tells_nobody_is_asked(provider: Provider) -> None:
    row = interval(make_reporting_channel("https://api.deepseek.com"))

    with pytest.raises(UsageNotReportedError, match="tells no token counts"):
        compare_usage(row=row, at=LATER)

    assert provider.asked == []


@pytest.mark.parametrize(("status", "error"), [(401, BalanceRefusedError), (503, BalanceUnavailableError)])
def test_a_provider_that_tells_nothing_is_an_error(
    status: int, error: type[Exception], provider: Provider
) -> None:
    provider.answers = [Answering(status, '{"error":{"message":"no"}}')]

    with pytest.raises(error, match=f"HTTP {status}: no"):
        compare_usage(row=interval(make_reporting_channel()), at=LATER)


def test_no_secret_is_repeated(provider: Provider) -> None:
    provider.answers = [Answering(401, f'{{"error":{{"message":"Incorrect key {ADMIN_KEY}"}}}}')]

    with pytest.raises(BalanceRefusedError, match="Incorrect key …"):
        compare_usage(row=interval(make_reporting_channel()), at=LATER)


def test_credentials_of_a_lost_secret_are_asked_for_again(provider: Provider) -> None:
    channel = make_reporting_channel()
    row = interval(channel)
    Channel.objects.update(encrypted_balance_access="nonsense")
    row.channel.refresh_from_db()

    with pytest.raises(BalanceRefusedError, match="enter it again"):
        compare_usage(row=row, at=LATER)

    assert provider.asked == []


@pytest.mark.parametrize(("prompt", "queries"), [(200, 1), (100, 3)], ids=["agreeing", "differing"])
def test_ours_are_read_at_once_however_many_models_there_are(
    prompt: int, queries: int, provider: Provider, django_assert_num_queries
) -> None:
    channel = make_reporting_channel()
    for model in ("gpt-4o", "o3", "gpt-4o-mini"):
        call(channel, served_model=model)
    row = interval(channel)
    provider.says(told({"prompt": prompt, "completion": 100}, {"model": "o4"}))

    with django_assert_num_queries(queries):
        compare_usage(row=row, at=LATER)
