"""The pages as a person uses them: in Chromium, with and without scripts, watched for blocked content."""

import re
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import AccessToken, Token, User
from accounts.services.access_tokens import create_access_token
from billing.services.calls import settle
from tests.factories import (
    NOON,
    balance_of,
    make_channel,
    make_code,
    make_codes,
    make_token,
    make_user,
    settlement,
)
from tests.support.looks import LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PAGES = [
    "/",
    "/tokens/",
    "/tokens/new/",
    "/usage/",
    "/usage/?since=2026-03-02&until=2026-03-01",
    "/statement/",
    "/redeem/",
    "/redeem/?code=7K3M-9PQR-2ABC-XY4Z-0",
    "/settings/",
    "/settings/access-tokens/new/",
]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


@pytest.fixture
def person(transactional_db: None) -> User:
    return make_user(username="ann", balance=5_000_000)


@pytest.fixture
def sign_in(live_server: LiveServer, person: User) -> Callable[[BrowserContext], None]:
    def _sign_in(context: BrowserContext) -> None:
        client = Client()
        client.force_login(person)
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])

    return _sign_in


@pytest.fixture
def view(page: Page, context: BrowserContext, sign_in: Callable[[BrowserContext], None]) -> Iterator[Page]:
    """A signed-in page; afterwards nothing may have been blocked or have failed in it."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(context)
    yield page
    assert [text for text in complaints if "422" not in text] == []


def _spend(person: User) -> None:
    token, channel = make_token(person, name="plug-in", quota_limit=1000), make_channel(models=["m1", "m2"])
    settle(settlements=[settlement(token, channel, quota=500) for _ in range(3)], at=NOON)


def _one_code() -> str:
    return make_code(quota=2_500_000)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, person: User, width: int, scheme: str
) -> None:
    _spend(person)
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})
    for url in PAGES:
        view.goto(live_server.url + url)

        found = Axe().run(view, options=WCAG).response["violations"]

        assert [(url, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, url


@pytest.mark.parametrize(("width", "scheme"), LOOKS[:1])
def test_the_document_for_people_is_accessible_and_fits(
    view: Page, live_server: LiveServer, scheme: str, width: int
) -> None:
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})
    view.goto(f"{live_server.url}/api/v1/docs")
    view.locator(".opblock").first.wait_for()
    for method in ("get", "post", "put", "patch", "delete"):
        view.locator(f".opblock-{method} .opblock-summary-control").first.click()
    view.get_by_role("button", name="Schemas").click()
    expect(view.locator(".responses-wrapper")).to_have_count(5)

    found = Axe().run(view, options=WCAG).response["violations"]

    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    assert view.evaluate("document.documentElement.scrollWidth") <= width


def test_a_token_is_made_in_the_slide_over_and_appears_in_the_list(
    view: Page, live_server: LiveServer, person: User
) -> None:
    view.goto(f"{live_server.url}/tokens/")
    view.get_by_role("link", name="New token").click()
    panel = view.locator("#slideover")
    expect(panel.get_by_label("Most it may ever spend")).to_be_hidden()
    panel.get_by_label("Name").fill("made here")
    panel.get_by_label("A limit of its own").check()
    panel.get_by_label("Most it may ever spend").fill("1,5")
    panel.get_by_role("button", name="Create token").click()
    expect(panel.get_by_text("Enter a number such as 5 or 12.50.")).to_be_visible()
    expect(panel.get_by_label("Most it may ever spend")).to_be_focused()
    panel.get_by_label("Most it may ever spend").fill("1.5")
    panel.get_by_role("button", name="Create token").click()

    expect(panel.get_by_label("Key")).to_have_value(re.compile("^sk-"))
    expect(view.locator("#list").get_by_role("link", name="made here")).to_be_visible()
    panel.get_by_role("button", name="Close").last.click()
    expect(panel).to_be_hidden()
    assert Token.objects.select_related("quota").get(user=person).quota.quota_limit == 750_000


def test_a_token_is_disabled_and_deleted_from_its_menu(
    view: Page, live_server: LiveServer, person: User
) -> None:
    make_token(person, name="short-lived")
    view.goto(f"{live_server.url}/tokens/")
    view.get_by_role("button", name="Actions for short-lived").click()
    view.get_by_role("button", name="Disable").click()
    expect(view.locator("#list").get_by_text("Disabled").last).to_be_visible()

    view.get_by_role("button", name="Actions for short-lived").click()
    view.get_by_role("button", name="Delete").click()
    expect(view.get_by_role("dialog")).to_contain_text("This cannot be undone.")
    view.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(view.get_by_text("No tokens yet")).to_be_visible()
    assert not Token.objects.exists()


def test_a_code_redeemed_on_the_overview_changes_the_balance_at_once(
    view: Page, live_server: LiveServer, person: User
) -> None:
    code = _one_code()
    view.goto(f"{live_server.url}/")
    view.get_by_label("Code", exact=True).fill(f"  {code.lower()} ")
    view.get_by_role("button", name="Redeem").click()

    expect(view.locator("#available")).to_have_text("$15.00")
    expect(view.locator("#list").get_by_text(f"Redeemed code …{code[15:19]}")).to_be_visible()
    view.get_by_label("Code", exact=True).fill(code)
    view.get_by_role("button", name="Redeem").click()
    expect(view.get_by_text("This code cannot be redeemed.")).to_be_visible()
    assert balance_of(person) == 7_500_000


def test_a_code_redeemed_on_its_own_page_joins_the_list_there(
    view: Page, live_server: LiveServer, person: User
) -> None:
    code = _one_code()
    view.goto(f"{live_server.url}/redeem/?code={code}")
    view.get_by_role("button", name="Redeem", exact=True).click()

    expect(view.locator("#available")).to_have_text("$15.00")
    expect(view.locator("#list").get_by_text(f"…{code[15:19]}")).to_be_visible()


def test_a_code_is_formatted_and_checked_while_it_is_typed(
    view: Page, live_server: LiveServer, person: User
) -> None:
    code = _one_code()
    field, check = view.get_by_label("Code", exact=True), view.locator("[data-code-check]")
    sent: list[str] = []
    view.on("request", lambda request: sent.append(request.method) if request.method == "POST" else None)
    view.goto(f"{live_server.url}/redeem/")
    field.press_sequentially(code[:9].replace("-", "").lower().replace("0", "o").replace("1", "l"))
    expect(field).to_have_value(code[:9])
    expect(check).to_have_text("9 characters are missing.")
    field.press_sequentially(code[9:-1].replace("-", ""))
    expect(check).to_have_text("1 character is missing.")
    field.press_sequentially("A" if code[-1] != "A" else "B")
    expect(check).to_have_text("There is a typing error: the last character does not fit the others.")
    field.press("Enter")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    field.press("Backspace")
    field.press_sequentially(code[-1])
    expect(check).to_have_text("The code is complete.")
    assert sent == []
    field.press("Enter")

    expect(view.get_by_text("$5.00 was added")).to_be_visible()
    assert balance_of(person) == 7_500_000


def test_the_caret_stays_where_somebody_mends_a_code(view: Page, live_server: LiveServer) -> None:
    field = view.get_by_label("Code", exact=True)

    def caret() -> int:
        return int(field.evaluate("input => input.selectionStart"))

    view.goto(f"{live_server.url}/redeem/")
    field.press_sequentially("7K3M9PQR2")
    for _ in range(6):
        field.press("ArrowLeft")
    field.press("Backspace")  # between the first group and the second there is a dash
    expect(field).to_have_value("7K39-PQR2")
    assert caret() == 3
    field.press_sequentially("m")
    expect(field).to_have_value("7K3M-9PQR-2")
    assert caret() == 5
    field.press("Home")
    field.press("Delete")
    expect(field).to_have_value("K3M9-PQR2")
    assert caret() == 0


@pytest.mark.parametrize(
    ("pasted", "shown", "said"),
    [
        ("  7k3m – 9pqr – 2abc – xy4z – 0 ", "7K3M-9PQR-2ABC-XY4Z-0", "There is a typing error"),
        ("０１ＡＢ", "01AB", "13 characters are missing."),
        ("7K3M9PQR2ABCXY4Z0ZZ", "7K3M-9PQR-2ABC-XY4Z-0ZZ", "This is 2 characters too long."),
        ("7K3M-9PQU", "7K3M-9PQU", "“U” occurs in no code."),
        ("0123456789abcdef0123456789ABCDEF", "0123456789abcdef0123456789ABCDEF", "The code is complete."),
        ("0123456789abcdef0123456789abcd", "0123456789abcdef0123456789abcd", "2 characters are missing."),
    ],
)
def test_a_code_may_be_pasted_in_any_form(
    view: Page, live_server: LiveServer, pasted: str, shown: str, said: str
) -> None:
    view.goto(f"{live_server.url}/redeem/")

    view.get_by_label("Code", exact=True).fill(pasted)

    expect(view.get_by_label("Code", exact=True)).to_have_value(shown)
    expect(view.locator("[data-code-check]")).to_contain_text(said)


def test_page_and_server_agree_about_every_check_character(
    view: Page, live_server: LiveServer, person: User
) -> None:
    codes = make_codes(count=40)
    said = view.locator("[data-code-check]")
    view.goto(f"{live_server.url}/redeem/")

    for code in codes:
        view.get_by_label("Code", exact=True).fill(code)
        expect(said).to_have_text("The code is complete.")
        swapped = code[1] + code[0] + code[2:]
        view.get_by_label("Code", exact=True).fill(swapped)
        expect(said).to_contain_text("typing error" if swapped != code else "complete")


def test_a_link_fills_the_code_in_and_does_not_stay_in_the_address(
    view: Page, live_server: LiveServer, person: User
) -> None:
    code = _one_code()
    view.goto(f"{live_server.url}/redeem/?code={code}")

    expect(view.get_by_text("Your link has filled the code in")).to_be_visible()
    expect(view.get_by_role("button", name="Redeem", exact=True)).to_be_focused()
    assert view.url == f"{live_server.url}/redeem/"
    assert balance_of(person) == 5_000_000
    view.keyboard.press("Enter")
    expect(view.locator("#available")).to_have_text("$15.00")
    expect(view.get_by_text("Your link has filled the code in")).to_have_count(0)
    view.goto(f"{live_server.url}/statement/")
    expect(view.locator("#list").get_by_text("+$5.00")).to_be_visible()


def test_filters_and_details_work_in_place(view: Page, live_server: LiveServer, person: User) -> None:
    _spend(person)
    view.goto(f"{live_server.url}/usage/")
    view.get_by_label("Status").select_option("failed")
    expect(view.get_by_text("No call matches")).to_be_visible()
    assert "status=failed" in view.url
    view.get_by_label("Status").select_option("")
    view.get_by_role("link", name="test-model").first.click()

    expect(view.locator("#slideover").get_by_label("Request id")).to_have_value(re.compile("^request-"))


def test_an_access_token_is_made_and_revoked(view: Page, live_server: LiveServer, person: User) -> None:
    view.goto(f"{live_server.url}/settings/")
    view.get_by_role("link", name="New access token").click()
    view.locator("#slideover").get_by_label("Name").fill("report")
    view.locator("#slideover").get_by_role("button", name="Create").click()
    expect(view.locator("#slideover").get_by_label("Access token")).to_have_value(re.compile("^oa-"))
    view.locator("#slideover").get_by_role("button", name="Close").last.click()
    view.get_by_role("button", name="Actions for report").click()
    view.get_by_role("button", name="Revoke").click()
    view.get_by_role("dialog").get_by_role("button", name="Revoke").click()

    expect(view.get_by_text("No access tokens")).to_be_visible()
    assert not AccessToken.objects.exists()


def test_an_access_token_is_rotated_on_a_phone(view: Page, live_server: LiveServer, person: User) -> None:
    token, _key = create_access_token(actor=None, user=person, name="report", scopes=["read", "redeem"])
    view.set_viewport_size({"width": 390, "height": 900})
    view.goto(f"{live_server.url}/settings/")
    view.get_by_role("button", name="Actions for report").click()
    view.get_by_role("link", name="Rotate").click()
    view.locator("#slideover").get_by_label("24 hours").check()
    view.locator("#slideover").get_by_role("button", name="Rotate").click()

    expect(view.locator("#slideover").get_by_label("Access token")).to_have_value(re.compile("^oa-"))
    expect(view.locator("#slideover").get_by_text("The old one goes on working until:")).to_be_visible()
    expect(view.locator("#list").get_by_text("Old key works until")).to_be_visible()
    assert AccessToken.objects.get().previous_key_hash == token.key_hash


@pytest.mark.browser_context_args(java_script_enabled=False)
def test_without_scripts_codes_are_redeemed_and_tokens_made_and_deleted(
    page: Page,
    context: BrowserContext,
    sign_in: Callable[[BrowserContext], None],
    live_server: LiveServer,
    person: User,
) -> None:
    sign_in(context)
    page.goto(f"{live_server.url}/")
    page.get_by_label("Code", exact=True).fill(_one_code())
    page.get_by_role("button", name="Redeem").click()
    expect(page.get_by_text("$5.00 was added. You have $15.00 now.")).to_be_visible()

    page.goto(f"{live_server.url}/tokens/")
    page.get_by_role("link", name="New token").click()
    page.get_by_label("Name").fill("plain")
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_label("Key")).to_have_value(re.compile("^sk-"))
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="plain").click()
    page.get_by_role("button", name="Delete").click()

    expect(page.get_by_text("Token “plain” was deleted.")).to_be_visible()
