"""The pages about providers' money in Chromium, watched for blocked content."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from accounts.services import users
from billing.models import ExchangeRate
from billing.services.reconciling import reconcile
from tests.factories import NOON, make_admin, make_channel, make_snapshot
from tests.support.looks import LOOKS

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def admin(transactional_db: None) -> User:
    return make_admin(username="abe")


@pytest.fixture
def view(page: Page, context: BrowserContext, live_server: LiveServer, admin: User) -> Iterator[Page]:
    """A page of a signed-in administrator; afterwards nothing may have been blocked or have failed in it."""
    client = Client()
    client.force_login(admin)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []


@pytest.fixture
def pages() -> list[str]:
    """Of channels in every state of their money."""
    told = make_channel(name="a channel with a rather long name that nobody would give it")
    manual = make_channel(name="manual", balance_source="manual", base_url="https://api.groq.com/openai")
    limited = make_channel(name="limited", base_url="https://api.openai.com")
    make_snapshot(
        channel=limited, kind="spend", limit=Decimal(100), used=Decimal(98), period="month", resets_at=None
    )
    make_snapshot(channel=manual, remaining=Decimal("123456.78"), currency="CNY")
    ExchangeRate.objects.create(currency="CNY", per_usd=7, valid_from=NOON.date(), created_at=NOON)
    rows = []
    for number, (left, metered) in enumerate([("10", 0), ("8", 2), ("5", 3), ("50", 4), ("49", 4)]):
        snapshot = make_snapshot(
            channel=told,
            remaining=Decimal(left),
            metered=metered * 10**9,
            raw="GET /balance 200\n{}",
            created_at=NOON + number * timedelta(minutes=10),
        )
        rows.append(snapshot)
    made = [
        reconcile(channel=told, first=first, last=last, at=NOON)
        for first, last in zip(rows, rows[1:], strict=False)
    ]
    assert all(made)
    drift = next(row for row in made if row is not None and row.status == "drift")
    return [
        reverse("ops:reconciliation"),
        reverse("ops:reconciliation-channel", args=[told.pk]),
        reverse("ops:reconciliation-channel", args=[limited.pk]),
        reverse("ops:reconciliation-interval", args=[drift.pk]),
        reverse("ops:reconciliation-balance", args=[manual.pk]),
        reverse("ops:rates"),
        reverse("ops:rate-set"),
        reverse("ops:channels"),
        reverse("ops:channel-edit", args=[limited.pk]),
        reverse("ops:dashboard"),
    ]


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_accessible_and_fits(
    view: Page,
    live_server: LiveServer,
    admin: User,
    pages: list[str],
    width: int,
    scheme: str,
    language: str,
) -> None:
    users.set_language(user=admin, language=language)
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})
    for url in pages:
        view.goto(live_server.url + url)
        view.wait_for_load_state("networkidle")

        found = Axe().run(view, options=WCAG).response["violations"]
        assert [(url, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, url


def test_the_fields_of_a_channels_balance_follow_its_source(
    view: Page, live_server: LiveServer, pages: list[str]
) -> None:
    [form] = [url for url in pages if url.endswith("/edit/")]
    view.goto(live_server.url + form)
    expect(view.get_by_label("Admin key")).to_be_visible()

    view.locator("#id_balance_source").select_option("manual")

    expect(view.get_by_label("Admin key")).to_have_count(0)
    expect(view.locator("#channel-balance")).to_contain_text("enter what its console says")
