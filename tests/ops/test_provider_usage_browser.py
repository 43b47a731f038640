"""The provider's report of tokens in Chromium, watched for blocked content."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from tests.billing.upstream.balances.provider import Answering, Provider
from tests.billing.upstream.usage_reports.reporting import (
    make_interval,
    make_reporting_channel,
    openai_page,
    openai_result,
    reporting,
)
from tests.factories import NOON, make_admin

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
BUTTON = "Compare tokens with the provider's report"
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with reporting(monkeypatch) as server:
        yield server


@pytest.fixture
def view(page: Page, context: BrowserContext, live_server: LiveServer, transactional_db: None) -> Page:
    client = Client()
    client.force_login(make_admin(username="abe"))
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
    return page


def test_the_report_is_loaded_into_the_panel_and_again(
    view: Page, live_server: LiveServer, provider: Provider
) -> None:
    complaints: list[str] = []
    view.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    row = make_interval(make_reporting_channel(), began_at=NOON, ended_at=NOON + timedelta(minutes=10))
    used = openai_result("gpt-4o-2024-08-06", requests=3, prompt=22_345, cached=1_000, completion=678)
    provider.answers = [
        Answering(503, '{"error":{"message":"later"}}'),
        Answering(body=openai_page((NOON, [used]))),
    ]
    panel = view.locator("#slideover-body")
    address = f"{live_server.url}{reverse('ops:reconciliation-channel', args=[row.channel_id])}"
    view.goto(address)
    view.locator(f"a[href='{reverse('ops:reconciliation-interval', args=[row.pk])}']").first.click()

    button = panel.get_by_role("link", name=BUTTON)
    button.click()
    expect(panel.get_by_text("HTTP 503: later")).to_be_visible()
    button.click()

    expect(panel.get_by_text("The provider counts more")).to_be_visible()
    expect(panel.get_by_role("cell", name="0 / 22,345")).to_be_visible()
    expect(panel.get_by_text("HTTP 503: later")).to_have_count(0)
    expect(panel.locator("#provider-usage")).to_have_count(1)
    expect(button).to_be_focused()
    assert view.url == address
    assert complaints == []
    assert Axe().run(view, options=WCAG).response["violations"] == []
