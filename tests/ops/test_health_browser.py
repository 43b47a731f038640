"""The health page in Chromium, watched for blocked content."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer
from redis import Redis

from accounts.models import User
from accounts.services import users
from tests.factories import make_admin
from tests.ops.health import tell, tell_all_is_well, tell_relay
from tests.support.looks import LOOKS

URL = "/ops/health/"
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def admin(transactional_db: None) -> User:
    return make_admin(username="abe")


@pytest.fixture
def view(
    page: Page, context: BrowserContext, live_server: LiveServer, admin: User, store: Redis
) -> Iterator[Page]:
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


def test_the_page_renews_itself(view: Page, live_server: LiveServer) -> None:
    tell_all_is_well()
    view.clock.install()
    view.goto(f"{live_server.url}/ops/")
    expect(view.locator("#health-summary")).to_contain_text("OK")
    view.locator("#health-summary").locator("xpath=ancestor::section").get_by_role("link").click()
    expect(view.get_by_text("Everything is in order")).to_be_visible()

    tell_relay(2, has_journal=False, capacity=0, used=0, in_flight=0)
    view.clock.fast_forward(10_000)

    expect(view.get_by_text("1 needs attention")).to_be_visible()
    expect(view.locator("#health-relay")).to_contain_text("Error")
    expect(view.get_by_text("alpha:2")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, admin: User, width: int, scheme: str, language: str
) -> None:
    users.set_language(user=admin, language=language)
    tell_relay(1, waiting=12_345, used=12_400, capacity=12_500, waited=601)
    tell_relay(2, has_journal=False, capacity=0, host="h" * 63)
    tell_relay(4_194_304, seconds_ago=100, host="a-machine-with-a-rather-long-name-1.example.com")
    tell("worker", "alpha", seconds_ago=100)
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})

    view.goto(f"{live_server.url}{URL}")

    found = Axe().run(view, options=WCAG).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    assert view.evaluate("document.documentElement.scrollWidth") <= width
