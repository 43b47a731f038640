"""Corrections as operators make them: in Chromium, watched for blocked content."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from billing.models import BulkTopUp, EntryKind, LedgerEntry, UsageRecord
from billing.services import reversals
from billing.services.bulk import TopUp, top_up_many
from billing.services.calls import settle
from tests.factories import NOON, balance_of, make_admin, make_channel, make_token, make_user, settlement
from tests.support.looks import LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


@pytest.fixture
def person(transactional_db: None) -> User:
    """Ann, who had $10 and made a call for $1."""
    user = make_user(username="ann", balance=5_000_000)
    settle(settlements=[settlement(make_token(user), make_channel(), quota=500_000)], at=NOON)
    return user


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
    assert [text for text in complaints if "422" not in text] == []


def test_a_call_is_refunded_and_the_top_up_reversed_in_the_slide_over(
    view: Page, live_server: LiveServer, person: User
) -> None:
    panel = view.locator("#slideover")
    view.goto(f"{live_server.url}/ops/users/{person.pk}/")
    view.get_by_role("link", name="Refund call").click()
    expect(panel.get_by_label("Amount", exact=True)).to_have_value("1")
    panel.get_by_label("Amount", exact=True).fill("2")
    panel.get_by_label("Reason").fill("it hung")
    panel.get_by_role("button", name="Refund").click()
    expect(panel.get_by_text("At most 500000 quota units of this call can be refunded")).to_be_visible()
    panel.get_by_label("Amount", exact=True).fill("0.25")
    panel.get_by_role("button", name="Refund").click()
    expect(view.locator("#list").get_by_text("$0.25 refunded")).to_be_visible()

    view.goto(f"{live_server.url}/ops/ledger/")
    view.locator("#list tbody tr").last.get_by_role("link", name="Entry").click()
    panel.get_by_role("link", name="Reverse…").click()
    expect(panel.get_by_text("Of $10.00 only −$9.25 can be taken back")).to_be_visible()
    panel.get_by_label("Take back only what is left").check()
    panel.get_by_label("Reason").fill("the wrong person")
    panel.get_by_label("Reason").press("Enter")

    expect(panel).to_be_hidden()
    expect(view.locator("#list tbody tr")).to_have_count(4)
    expect(view.locator("#list").get_by_text("reversed", exact=True).last).to_be_visible()
    assert balance_of(person) == 0


def test_a_bulk_top_up_is_undone_after_a_look_at_what_is_spent(
    view: Page, live_server: LiveServer, admin: User, person: User
) -> None:
    _bulk(admin, person)
    panel = view.locator("#slideover")
    view.goto(f"{live_server.url}/ops/ledger/")
    view.get_by_role("link", name="Bulk top-ups").click()
    view.get_by_role("link", name="Undo bulk top-up").click()
    expect(panel.get_by_role("row", name="bo $0.002 $0.198")).to_be_visible()
    panel.get_by_label("Where a part is spent, take what is left").check()
    panel.get_by_label("Reason").fill("twice")
    panel.get_by_role("button", name="Undo").click()

    expect(panel.get_by_text("were taken back")).to_be_visible()
    expect(view.locator("#list").get_by_text("Undone")).to_be_visible()
    assert balance_of(person) == 4_500_000


def _bulk(admin: User, person: User) -> BulkTopUp:
    """For Ann and for Bo, who spends all of it but a little."""
    bo = make_user(username="bo")
    items = [TopUp(user_id=user.pk, quota=100_000) for user in (person, bo)]
    top_up_many(actor=admin, items=items, memo="payday", at=NOON)
    settle(settlements=[settlement(make_token(bo), make_channel(), quota=99_000)], at=NOON)
    return BulkTopUp.objects.get()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, person: User, admin: User, width: int, scheme: str
) -> None:
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})
    run = _bulk(admin, person)
    top_up, usage = (
        LedgerEntry.objects.order_by("pk")[:1].get(),
        LedgerEntry.objects.get(kind=EntryKind.USAGE, account=person.pk),
    )
    urls = [
        reverse("ops:ledger-reverse", args=[top_up.pk]),
        reverse("ops:ledger-entry", args=[usage.pk]),
        reverse("ops:ledger-reverse", args=[usage.pk]),
        reverse("ops:usage-refund", args=[UsageRecord.objects.get(account=person.pk).pk]),
        reverse("ops:user-adjust", args=[person.pk]),
        reverse("ops:user-detail", args=[person.pk]),
        reverse("ops:ledger"),
        reverse("ops:ledger-bulk"),
        reverse("ops:ledger-bulk-undo", args=[run.pk]),
    ]
    reversals.reverse(actor=admin, entry=top_up, memo="m" * 255, allow_partial=True, at=NOON)
    urls.append(reverse("ops:ledger-entry", args=[LedgerEntry.objects.latest("pk").pk]))
    for url in urls:
        view.goto(f"{live_server.url}{url}")
        found = Axe().run(view, options=WCAG).response["violations"]
        assert [(url, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, url
