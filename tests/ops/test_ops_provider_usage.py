"""The provider's report of tokens on an interval's page."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.models import Reconciliation
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
from tests.factories import NOON, make_token, make_user, settlement

pytestmark = pytest.mark.django_db
BUTTON = "Compare tokens with the provider's report"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with reporting(monkeypatch) as server:
        yield server


def interval(base_url: str = "https://api.openai.com", *, began_at: datetime = NOON) -> Reconciliation:
    channel = make_reporting_channel(base_url)
    return make_interval(channel, began_at=began_at, ended_at=began_at + timedelta(minutes=10))


def page_of(row: Reconciliation) -> str:
    return reverse("ops:reconciliation-interval", args=[row.pk])


def call(row: Reconciliation, model: str, **fields: Any) -> None:
    token = make_token(make_user(balance=10_000))
    used = {"served_model": model, "prompt_tokens": 12_345, "completion_tokens": 678}
    usual = {"quota": 5, "created_at": NOON + timedelta(minutes=5)}
    settle(settlements=[settlement(token, row.channel, **{**used, **usual, **fields})], at=NOON)


def test_nobody_is_asked_before_somebody_wants_to_know(admin_client: Client, provider: Provider) -> None:
    row = interval()

    text = admin_client.get(page_of(row)).content.decode()

    assert BUTTON in text
    assert f'href="{page_of(row)}?usage=1#provider-usage"' in text
    assert provider.asked == []


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["a page", "a part for htmx"])
def test_both_sides_stand_side_by_side_with_what_follows(
    headers: dict[str, str], admin_client: Client, provider: Provider
) -> None:
    row = interval()
    call(row, "gpt-4o")
    used = openai_result("gpt-4o-2024-08-06", requests=3, prompt=22_345, cached=1_000, completion=678)
    provider.says(openai_page((NOON, [used])))

    text = admin_client.get(page_of(row), {"usage": "1"}, headers=headers).content.decode()

    for words in (
        "The provider counts more",
        "gpt-4o-2024-08-06",
        ">1 / 3<",
        "12,345 / 22,345",
        "cached: 0 / 1,000",
        ">678 / 678<",
        "+10,000",
        "whole minutes",
        "up to 5 %",
    ):
        assert words in text
    assert "All models" not in text
    assert "some minutes late" not in text
    assert ("<html" in text) is (not headers)


def test_a_call_under_way_at_the_end_is_no_warning(admin_client: Client, provider: Provider) -> None:
    row = interval()
    call(row, "gpt-4o", created_at=row.ended_at + timedelta(minutes=1), duration_ms=120_000)
    used = openai_result("gpt-4o", requests=1, prompt=12_345, cached=0, completion=678)
    provider.says(openai_page((NOON, [used])))

    text = admin_client.get(page_of(row), {"usage": "1"}).content.decode()

    assert re.search(r'state-info">(?:(?!state-).)*Calls under way at the beginning or end', text, re.DOTALL)


def test_several_models_are_added_up_and_untold_counts_are_dashes(
    admin_client: Client, provider: Provider
) -> None:
    row = interval("https://api.anthropic.com")
    call(row, "claude-opus-5")
    used = {"uncached": 12_345, "cached": 0, "written": (0, 0), "output": 678}
    results = [anthropic_result(model, **used) for model in ("claude-opus-5", "claude-haiku-5")]
    provider.says(anthropic_page(("2026-03-02T12:00:00Z", results)))

    text = admin_client.get(page_of(row), {"usage": "1"}).content.decode()

    assert "All models" in text
    assert "1 / –" in text
    assert "12,345 / 24,690" in text


def test_a_report_of_what_was_just_now_is_said_to_be_late(admin_client: Client, provider: Provider) -> None:
    row = interval(began_at=timezone.now() - timedelta(minutes=11))
    provider.says(openai_page())

    text = admin_client.get(page_of(row), {"usage": "1"}).content.decode()

    assert "Neither side counted any tokens" in text
    assert "some minutes late" in text


def test_a_provider_that_tells_nothing_is_quoted_with_a_remedy(
    admin_client: Client, provider: Provider
) -> None:
    row = interval()
    provider.answers = [Answering(401, '{"error":{"message":"Incorrect <key>"}}')]

    answer = admin_client.get(page_of(row), {"usage": "1"})
    text = answer.content.decode()

    assert answer.status_code == 200
    assert "The provider told nothing" in text
    assert "HTTP 401: Incorrect &lt;key&gt;" in text
    assert "Check the key" in text
    assert BUTTON in text


def test_where_the_provider_has_no_report_no_button_is_offered(
    admin_client: Client, provider: Provider
) -> None:
    row = interval("https://api.deepseek.com")

    plain = admin_client.get(page_of(row)).content.decode()
    asked = admin_client.get(page_of(row), {"usage": "1"}).content.decode()

    assert BUTTON not in plain
    assert "tells no token counts" in asked
    assert BUTTON not in asked
    assert provider.asked == []


def test_only_operators_have_a_provider_asked(provider: Provider, client: Client) -> None:
    row = interval()
    client.force_login(make_user())

    assert client.get(page_of(row), {"usage": "1"}).status_code == 404
    assert provider.asked == []
