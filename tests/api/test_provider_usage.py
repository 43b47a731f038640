"""The tokens that a provider counted, for programs."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from billing.services.calls import settle
from tests.billing.upstream.balances.provider import Answering, Provider
from tests.billing.upstream.usage_reports.reporting import (
    anthropic_page,
    anthropic_result,
    make_interval,
    make_reporting_channel,
    openai_page,
    openai_result,
    reporting,
)
from tests.factories import NOON, make_admin, make_token, make_user, settlement

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with reporting(monkeypatch) as server:
        yield server


def path_of(base_url: str = "https://api.openai.com") -> str:
    """Of an interval with a call."""
    channel = make_reporting_channel(base_url)
    at = NOON + timedelta(minutes=5)
    call = settlement(
        make_token(make_user(balance=10_000)), channel, quota=5, served_model="gpt-4o", created_at=at
    )
    settle(settlements=[call], at=at)
    row = make_interval(
        channel, began_at=NOON + timedelta(seconds=1), ended_at=NOON + timedelta(minutes=10, seconds=1)
    )
    return f"/reconciliations/{row.pk}/provider-usage"


def test_both_sides_are_told_exactly(program, provider: Provider) -> None:
    used = openai_result("gpt-4o-2024-08-06", requests=2, prompt=10, cached=4, completion=6)
    provider.says(openai_page((NOON, [used])))
    ours = {"requests": 1, "prompt_tokens": 10, "cached_tokens": 0, "completion_tokens": 5}
    theirs = {"requests": 2, "prompt_tokens": 10, "cached_tokens": 4, "completion_tokens": 6}

    answer = program(make_admin(), "read").get(path_of())

    assert answer.status == 200
    assert answer.body == {
        "since": "2026-03-02T12:00:00.000000Z",
        "until": "2026-03-02T12:11:00.000000Z",
        "models": [
            {
                "model": "gpt-4o",
                "names": ["gpt-4o", "gpt-4o-2024-08-06"],
                "ours": ours,
                "provider": theirs,
                "difference": 1,
            }
        ],
        "ours": ours,
        "provider": theirs,
        "difference": 1,
        "is_recent": False,
        "finding": {
            "code": "provider_more",
            "text": "The provider counts more: the account is used by others too, or by other channels here.",
        },
    }


def test_what_a_provider_does_not_tell_is_null(program, provider: Provider) -> None:
    used = anthropic_result("gpt-4o", uncached=10, cached=0, written=(0, 0), output=5)
    provider.says(anthropic_page(("2026-03-02T12:00:00Z", [used])))

    body = program(make_admin(), "channels").get(path_of("https://api.anthropic.com")).body

    assert body["provider"] == {
        "requests": None,
        "prompt_tokens": 10,
        "cached_tokens": 0,
        "completion_tokens": 5,
    }
    assert body["finding"]["code"] == "price"


@pytest.mark.parametrize(("status", "code"), [(401, "balance_refused"), (429, "balance_unavailable")])
def test_a_provider_that_tells_nothing_is_502(status: int, code: str, program, provider: Provider) -> None:
    provider.answers = [Answering(status, '{"error":{"message":"not you"}}', {"Retry-After": "17"})]

    answer = program(make_admin(), "channels").get(path_of())

    assert (answer.status, answer.code) == (502, code)
    assert "not you" in answer.body["detail"]


def test_a_provider_without_a_report_is_409(program, provider: Provider) -> None:
    answer = program(make_admin(), "channels").get(path_of("https://api.deepseek.com"))

    assert (answer.status, answer.code) == (409, "usage_not_reported")
    assert provider.asked == []


def test_a_program_of_a_user_has_nobody_asked(program, provider: Provider) -> None:
    assert program(make_user(), "read").get(path_of()).status == 403
    assert provider.asked == []
