"""Two operators, each in a browser of their own: in Chromium, watched for blocked content."""

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from billing.models import LedgerEntry, Proposal
from billing.services import acts, approvals
from billing.services.approval_settings import set_approval_threshold
from billing.services.bulk import TopUp
from tests.factories import balance_of, make_admin, make_root, make_user
from tests.support.looks import LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
View = Callable[..., Page]


@pytest.fixture
def root(transactional_db: None) -> User:
    user = make_root(username="rosa")
    set_approval_threshold(actor=user, threshold=50_000_000)
    return user


@pytest.fixture
def admin(root: User) -> User:
    return make_admin(username="abe")


@pytest.fixture
def person(root: User) -> User:
    return make_user(username="ann", balance=5_000_000)


@pytest.fixture
def view(browser: Browser, live_server: LiveServer) -> Iterator[View]:
    """Opens a browser in which somebody is signed in; afterwards nothing may have failed or been blocked."""
    complaints: list[str] = []

    def open_page(user: User, **options: object) -> Page:
        client = Client()
        client.force_login(user)
        context = browser.new_context(base_url=live_server.url, **options)
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
        page = context.new_page()
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert complaints == []


def test_what_one_operator_proposes_another_approves(view: View, admin: User, person: User) -> None:
    first, second = view(admin), view(make_admin(username="bea"))
    panel, nav = first.locator("#slideover"), second.locator(".app-nav")
    first.goto(reverse("ops:user-detail", args=[person.pk]))
    first.get_by_role("link", name="Top up").first.click()
    panel.get_by_label("Amount", exact=True).fill("250")
    panel.get_by_label("Memo").fill("a bonus")
    panel.get_by_role("button", name="Top up").click()
    expect(panel.get_by_text("Nothing has moved yet")).to_be_visible()
    assert balance_of(person) == 5_000_000

    second.goto("/ops/")
    expect(nav.get_by_role("link", name="Approvals 1 waiting for you")).to_be_visible()
    nav.get_by_role("link", name="Approvals").click()
    second.locator("#list").get_by_role("link", name="Top-up").click()
    second.locator("#slideover").get_by_role("button", name="Approve").click()
    second.get_by_text("Approve this? +$250.00 are booked at once.").wait_for()
    second.locator("#confirm-yes").click()
    expect(second.get_by_text("was approved and done")).to_be_visible()
    expect(nav.get_by_text("waiting for you")).to_have_count(0)

    assert balance_of(person) == 130_000_000
    first.goto(reverse("ops:ledger-entry", args=[LedgerEntry.objects.latest("pk").pk]))
    expect(first.get_by_role("link", name="bea")).to_be_visible()


def _proposals(root: User, admin: User, person: User) -> list[Proposal]:
    """Of each state that looks different, to be seen by the administrator."""
    items = [TopUp(user_id=make_user().pk, quota=30_000_000) for _ in range(22)]
    kept = [
        approvals.submit(actor=actor, act=act, at=timezone.now())
        for actor, act in (
            (root, acts.TopUpMany(items=items, memo="payday of the team that has a rather long name")),
            (root, acts.TopUp(user_id=person.pk, quota=60_000_000, memo="m" * 255)),
            (admin, acts.TopUp(user_id=person.pk, quota=60_000_000, memo="")),
            (root, acts.TopUp(user_id=person.pk, quota=70_000_000, memo="order 7")),
            (root, acts.TopUp(user_id=person.pk, quota=70_000_000, memo="order 8")),
        )
    ]
    proposals = [proposal for proposal in kept if isinstance(proposal, Proposal)]
    approvals.approve(actor=admin, proposal=proposals[3], at=timezone.now())
    approvals.reject(actor=admin, proposal=proposals[4], note="who is this for?", at=timezone.now())
    return proposals


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [(*look, language) for look, language in zip(LOOKS, ("en", "zh-Hans"), strict=True)],
)
def test_every_page_is_accessible_and_fits(
    view: View, root: User, admin: User, person: User, width: int, scheme: str, language: str
) -> None:
    proposals = _proposals(root, admin, person)
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}, "locale": language}
    pages = {
        view(admin, **options): [
            reverse("ops:approvals"),
            f"{reverse('ops:approvals')}?show=closed",
            *(reverse("ops:approval", args=[proposals[number].pk]) for number in (0, 2, 4)),
            reverse("ops:approval-reject", args=[proposals[0].pk]),
            reverse("ops:ledger-entry", args=[LedgerEntry.objects.latest("pk").pk]),
        ],
        view(root, **options): [reverse("ops:approvals-threshold")],
    }
    for page, urls in pages.items():
        for url in urls:
            page.goto(url)
            expect(page.locator("html")).to_have_attribute("lang", language.lower())
            found = Axe().run(page, options=WCAG).response["violations"]
            assert [(url, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width, url
