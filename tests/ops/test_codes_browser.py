"""Codes from their order to their end, in Chromium, with a real worker; watched for blocked content."""

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from billing.services.accounts import adjust
from redemption.models import CodeBatch, RedemptionCode, SealedCodes
from redemption.services import batches
from redemption.services.redeeming import redeem
from tests.factories import balance_of, codes_in_clear, make_admin, make_batch, make_root, make_user
from tests.support.looks import LOOKS
from tests.support.processes import ROOT, environment
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


@pytest.fixture
def admin(transactional_db: None) -> User:
    make_root(username="rosa")
    return make_admin(username="abe")


@pytest.fixture
def view(page: Page, live_server: LiveServer, admin: User) -> Iterator[Page]:
    """A page in which an operator is signed in; afterwards nothing may have failed or been blocked."""
    client, complaints = Client(), []
    client.force_login(admin)
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert [text for text in complaints if "422" not in text] == []


@pytest.fixture
def worker(transactional_db: None) -> Iterator[None]:
    """A worker that takes jobs; without beat, it does what it is asked for and nothing else."""
    path = Path(settings.DATA_DIR) / "codes-worker.log"
    command = [sys.executable, "-m", "celery", "--app", "oneapi_admin", "worker", "--concurrency", "1"]
    with path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "--loglevel", "INFO"],
            cwd=ROOT,
            env=environment(C_FORCE_ROOT="true"),
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: "ready." in path.read_text(), seconds=60)
            yield
        finally:
            process.terminate()
            process.wait(30)


def order(view: Page, live_server: LiveServer, *, count: str, name: str = "autumn") -> None:
    """Order codes in the slide-over."""
    view.goto(live_server.url + reverse("ops:codes"))
    view.get_by_role("link", name="New codes").click()
    panel = view.locator("#slideover")
    panel.get_by_label("Name").fill(name)
    panel.get_by_label("Amount of each code").fill("2.50")
    panel.get_by_label("Number of codes").fill(count)
    panel.get_by_role("button", name="Make codes").click()


def fresh(**terms: object) -> CodeBatch:
    return make_batch(at=timezone.now(), **terms)


def open_batch(view: Page, live_server: LiveServer, batch: CodeBatch) -> None:
    view.goto(live_server.url + reverse("ops:code-detail", args=[batch.pk]))


def test_codes_are_ordered_downloaded_confirmed_and_gone(
    view: Page, live_server: LiveServer, tmp_path: Path
) -> None:
    order(view, live_server, count="40")
    card = view.locator("#download")
    expect(view.get_by_text("40 codes are made. Download them now.")).to_be_visible()
    expect(card.get_by_text("Have you kept the file?")).to_have_count(0)
    with view.expect_download() as started:
        card.get_by_role("button", name="CSV").click()
    started.value.save_as(tmp_path / "codes.csv")
    expect(card.get_by_text("Have you kept the file?")).to_be_visible()
    card.get_by_role("button", name="Yes, delete the copy here").click()
    view.locator("#confirm-yes").click()
    expect(card.get_by_text("Nobody can read these codes any more")).to_be_visible()

    with (tmp_path / "codes.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    user = make_user()
    redeem(code=rows[39]["code"], user=user, at=timezone.now())
    assert len({row["code"] for row in rows}) == 40
    assert balance_of(user) == 1_250_000
    assert not SealedCodes.objects.exists()


def test_the_total_is_told_while_the_form_is_filled_in(view: Page, live_server: LiveServer) -> None:
    view.goto(live_server.url + reverse("ops:codes"))
    view.get_by_role("link", name="New codes").click()
    panel, total = view.locator("#slideover"), view.locator("[data-total]")
    panel.get_by_label("Amount of each code").fill("0.07")
    panel.get_by_label("Number of codes").fill("300000")
    expect(total).to_have_text("$21,000.00")
    panel.get_by_text("Validity and limits").click()
    panel.get_by_label("Uses of each code").fill("1000000")
    expect(total).to_have_text("$21,000,000,000.00")
    panel.get_by_label("Unit of the amount").select_option("quota")
    expect(total).to_have_text("–")
    panel.get_by_label("Amount of each code").fill("1")
    expect(total).to_have_text("$600,000.00")


def test_many_codes_are_made_by_a_worker_while_the_page_watches(
    view: Page, live_server: LiveServer, worker: None
) -> None:
    shown: list[str] = []
    view.on("response", lambda answer: shown.append(answer.url) if "/progress/" in answer.url else None)

    order(view, live_server, count="60000")
    expect(view.get_by_text("The codes are being made")).to_be_visible()
    expect(view.get_by_role("heading", name="Codes of the batch")).to_be_visible(timeout=60_000)

    expect(view.locator(".funnel").get_by_text("60,000", exact=True)).to_have_count(2)
    expect(view.get_by_role("button", name="Disable all")).to_be_visible()
    expect(view.locator("#download").get_by_label("Which codes").locator("option")).to_have_count(12)
    assert RedemptionCode.objects.count() == 60_000
    assert shown


def test_a_batch_that_nobody_makes_yet_is_cancelled(view: Page, live_server: LiveServer) -> None:
    order(view, live_server, count="60000")
    expect(view.get_by_text("Waiting for a worker to begin")).to_be_visible()
    view.get_by_role("button", name="Cancel making").click()
    view.locator("#confirm-yes").click()

    expect(view.get_by_text("It has no codes and never will.")).to_be_visible()
    assert CodeBatch.objects.get().status == "cancelled"


def test_codes_are_shown_with_a_qr_code_each(view: Page, live_server: LiveServer) -> None:
    batch = fresh()
    code = codes_in_clear(batch)[1]
    open_batch(view, live_server, batch)
    view.get_by_role("button", name="Show the codes").click()
    panel = view.locator("#slideover")
    expect(panel.get_by_label("3 codes of $0.001 each")).to_have_value("\n".join(codes_in_clear(batch)))
    panel.get_by_role("button", name=code).click()

    image = panel.get_by_role("img", name=f"QR code of {code}")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") > 100


def test_a_batch_is_revoked_after_its_preview(view: Page, live_server: LiveServer) -> None:
    batch = fresh(quota=500_000)
    redeem(code=codes_in_clear(batch)[0], user=make_user(), at=timezone.now())
    open_batch(view, live_server, batch)
    view.get_by_role("link", name="Revoke…").click()
    panel = view.locator("#slideover")
    expect(panel.get_by_text("$2.00")).to_be_visible()
    panel.get_by_role("button", name="Revoke").click()
    expect(panel.get_by_text("Tick this to say that you are sure.")).to_be_visible()
    assert CodeBatch.objects.get().status == "ready"
    panel.get_by_label("Yes, end these codes for good").check()
    panel.get_by_role("button", name="Revoke").click()

    expect(view.get_by_text("This batch was revoked")).to_be_visible()
    expect(view.get_by_role("link", name="Revoke…")).to_have_count(0)
    assert CodeBatch.objects.get().status == "revoked"


def test_a_code_is_found_by_pasting_it_and_the_address_never_has_it(
    view: Page, live_server: LiveServer
) -> None:
    batch = fresh()
    code = codes_in_clear(batch)[2]
    addresses: list[str] = []
    view.on("request", lambda request: addresses.append(request.url))
    view.goto(live_server.url + reverse("ops:codes"))
    box = view.get_by_label("Name of a batch, a code, or the last group of four of a redeemed one")
    box.press_sequentially(code[:-1] + "?")
    box.press("Enter")
    expect(view.get_by_text("No batch and no code is like this")).to_be_visible()
    box.fill(f" {code.lower()} ")
    box.press("Enter")

    expect(view.get_by_role("heading", name=f"Code …{code[15:19]}")).to_be_visible()
    assert [url for url in addresses if code[:9].replace("-", "") in url.replace("-", "").upper()] == []


def test_what_a_code_gave_is_taken_back_from_its_page_with_the_shortfall(
    view: Page, live_server: LiveServer
) -> None:
    batch, user = fresh(count=1, quota=500_000), make_user(username="ann")
    redeem(code=codes_in_clear(batch)[0], user=user, at=timezone.now())
    adjust(actor=make_admin(), user=user, quota=-300_000, memo="spent", at=timezone.now())
    code = RedemptionCode.objects.get()
    view.goto(live_server.url + reverse("ops:code-history", args=[batch.pk, code.pk]))
    view.get_by_role("link", name="Take back what ann got").click()
    panel = view.locator("#slideover")
    expect(panel.get_by_text("The code stays used")).to_be_visible()
    panel.get_by_role("checkbox").check()
    panel.get_by_label("Reason").fill("stolen")
    panel.get_by_role("button", name="Reverse").click()

    expect(view.locator("#list").get_by_text("$0.60 were gone").last).to_be_visible()
    expect(view.get_by_role("link", name="Take back what ann got")).to_have_count(0)
    assert balance_of(user) == 0


def test_a_code_is_disabled_on_its_page_and_the_history_says_so(view: Page, live_server: LiveServer) -> None:
    batch = fresh(count=1)
    code = RedemptionCode.objects.get()
    view.goto(live_server.url + reverse("ops:code-history", args=[batch.pk, code.pk]))
    view.get_by_role("button", name=f"Disable the code …{code.hint}").click()

    expect(view.get_by_role("button", name=f"Enable the code …{code.hint}")).to_be_visible()
    expect(view.locator("#list").get_by_text("Code enabled or disabled")).to_be_visible()
    assert RedemptionCode.objects.get().status == "disabled"


def _batches(admin: User) -> dict[str, CodeBatch]:
    """Of each state that looks different."""
    gift = fresh(count=1, name="a gift for everybody in the community", tag="gifts", uses_per_code=50)
    [code] = codes_in_clear(gift)
    for number in range(3):
        redeem(code=code, user=make_user(username=f"a-rather-long-name-{number}"), at=timezone.now())
    revoked, disabled, ordered = fresh(), fresh(), fresh(count=5001, note="n" * 255)
    batches.revoke_batch(actor=admin, batch=revoked)
    batches.set_batch_status(actor=admin, batch=disabled, is_enabled=False)
    terms = batches.BatchTerms(name="later", quota=5, count=60_000)
    making = batches.create_batch(actor=admin, terms=terms, at=timezone.now())
    failed = batches.create_batch(actor=admin, terms=terms, at=timezone.now())
    batches.fail_batch(batch_id=failed.pk, reason="OperationalError")
    return {
        "gift": gift,
        "revoked": revoked,
        "disabled": disabled,
        "long": ordered,
        "making": making,
        "failed": failed,
    }


@pytest.mark.parametrize(
    ("width", "scheme", "language"),
    [(*look, language) for look, language in zip(LOOKS, ("en", "zh-hans"), strict=True)],
)
def test_every_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, admin: User, width: int, scheme: str, language: str
) -> None:
    made = _batches(admin)
    gift = made["gift"]
    code = RedemptionCode.objects.get(batch=gift)
    urls = [
        reverse("ops:codes"),
        f"{reverse('ops:codes')}?state=expired",
        reverse("ops:code-find"),
        reverse("ops:code-create"),
        reverse("ops:code-redemptions"),
        reverse("ops:code-history", args=[gift.pk, code.pk]),
        reverse("ops:code-revoke", args=[gift.pk]),
        reverse("ops:code-revoke", args=[made["revoked"].pk]),
        *(reverse("ops:code-detail", args=[batch.pk]) for batch in made.values()),
    ]
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})
    cookie = {"name": settings.LANGUAGE_COOKIE_NAME, "value": language, "url": live_server.url}
    view.context.add_cookies([cookie])  # type: ignore[list-item]

    def check(place: str) -> None:
        found = Axe().run(view, options=WCAG).response["violations"]
        assert [(place, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, place

    for url in urls:
        view.goto(live_server.url + url)
        check(url)
    open_batch(view, live_server, gift)
    view.locator("#download form[action$='/show/'] button").click()
    view.locator(".qr-list button").first.click()
    expect(view.locator("#slideover img")).to_be_visible()
    check("the codes in the slide-over")
