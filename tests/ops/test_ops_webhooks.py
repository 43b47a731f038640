import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django import DjangoAssertNumQueries
from pytest_django.live_server_helper import LiveServer

from accounts.models import User
from billing.models import Webhook, WebhookDelivery, WebhookEvent
from billing.services import webhooks
from tests.factories import NOON, MadeWebhook, make_admin, make_webhook
from tests.support.looks import LOOKS
from tests.support.receiver import receiving

ENTERED = {
    "name": "the shop",
    "url": "https://shop.example.com/hooks?token=t",
    "events": ["topup.created", "code.redeemed"],
}
HTMX = {"HX-Request": "true"}
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


def emit(**data: Any) -> None:
    with transaction.atomic():
        webhooks.emit(event=WebhookEvent.TOPUP_CREATED, data=data, at=NOON)


def page_of(client: Client, made: MadeWebhook, **filters: str) -> str:
    answer = client.get(reverse("ops:webhook-detail", args=[made.webhook.pk]), filters)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def hook(db: None) -> MadeWebhook:
    return make_webhook(url="http://127.0.0.1:9/hooks?token=hidden")


@pytest.fixture
def log(hook: MadeWebhook) -> list[WebhookDelivery]:
    """Three deliveries: one pending, one delivered and one failed."""
    for number in range(3):
        emit(number=number)
    _pending, delivered, failed = WebhookDelivery.objects.order_by("pk")
    done = WebhookDelivery.objects.filter(pk__in=[delivered.pk, failed.pk])
    done.update(status="delivered", next_attempt_at=None, delivered_at=NOON, status_code=204, attempts=1)
    WebhookDelivery.objects.filter(pk=failed.pk).update(
        status="failed", status_code=500, error="HTTP 500", delivered_at=None, attempts=9
    )
    return list(WebhookDelivery.objects.order_by("pk"))


def test_a_new_webhook_shows_its_secret_once(admin_client: Client, admin: User) -> None:
    answer = admin_client.post(reverse("ops:webhook-create"), ENTERED)

    webhook = Webhook.objects.get()
    pages = [
        admin_client.get(reverse(name, args=args))
        for name, args in (
            ("ops:webhooks", []),
            ("ops:webhook-detail", [webhook.pk]),
            ("ops:webhook-edit", [webhook.pk]),
            ("ops:webhook-rotate", [webhook.pk]),
        )
    ]
    secret = webhook.get_secret()
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert [secret in page.content.decode() for page in pages] == [False] * 4
    assert (webhook.name, webhook.url, webhook.events) == tuple(ENTERED.values())
    assert webhook.created_by == admin


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "required"),
        ({"url": "ftp://shop.example.com"}, "Enter an address such as"),
        ({"url": "https://user:secret@shop.example.com/"}, "without user name"),
        ({"events": []}, "required"),
        ({"events": ["unknown"]}, "not one of the available choices"),
    ],
)
def test_a_webhook_that_makes_no_sense_is_refused_with_the_reason(
    fields: dict[str, Any], reason: str, admin_client: Client, hook: MadeWebhook
) -> None:
    urls = [reverse("ops:webhook-create"), reverse("ops:webhook-edit", args=[hook.webhook.pk])]

    answers = [admin_client.post(url, {**ENTERED, **fields}) for url in urls]

    assert [answer.status_code for answer in answers] == [422, 422]
    assert [reason in answer.content.decode() for answer in answers] == [True, True]
    assert Webhook.objects.get().url == hook.webhook.url


def test_an_edit_keeps_the_secret(admin_client: Client, hook: MadeWebhook) -> None:
    admin_client.post(reverse("ops:webhook-edit", args=[hook.webhook.pk]), ENTERED)

    webhook = Webhook.objects.get()
    assert (webhook.url, webhook.events) == (ENTERED["url"], ENTERED["events"])
    assert webhook.get_secret() == hook.secret


def test_a_new_secret_is_shown_once_and_replaces_the_old_one(admin_client: Client, hook: MadeWebhook) -> None:
    answer = admin_client.post(reverse("ops:webhook-rotate", args=[hook.webhook.pk]))

    secret = Webhook.objects.get().get_secret()
    assert secret != hook.secret
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_webhook_is_disabled_and_enabled(admin_client: Client, hook: MadeWebhook) -> None:
    url = reverse("ops:webhook-status", args=[hook.webhook.pk])

    admin_client.post(url, {"is_enabled": "0"})
    disabled = page_of(admin_client, hook)
    admin_client.post(url, {"is_enabled": "1"})

    assert "This webhook is disabled" in disabled
    assert reverse("ops:webhook-test", args=[hook.webhook.pk]) not in disabled
    assert Webhook.objects.get().is_enabled


def test_a_deleted_webhook_is_gone(admin_client: Client, hook: MadeWebhook) -> None:
    answer = admin_client.post(reverse("ops:webhook-delete", args=[hook.webhook.pk]), follow=True)

    assert "the shop was deleted." in answer.content.decode()
    assert not Webhook.objects.exists()


def test_a_test_is_put_on_its_way(admin_client: Client, hook: MadeWebhook) -> None:
    answer = admin_client.post(reverse("ops:webhook-test", args=[hook.webhook.pk]), headers=HTMX)

    assert WebhookDelivery.objects.get().event == "webhook.test"
    assert "is on its way" in answer.headers["HX-Trigger"]


def test_the_log_is_filtered_by_status(
    admin_client: Client, hook: MadeWebhook, log: list[WebhookDelivery]
) -> None:
    everything, failed = page_of(admin_client, hook), page_of(admin_client, hook, status="failed")

    def rows(text: str) -> list[int]:
        return [int(pk) for pk in re.findall(r'<tr id="delivery-(\d+)"', text)]

    assert rows(everything) == [log[2].pk, log[1].pk, log[0].pk]
    assert rows(failed) == [log[2].pk]
    assert "HTTP 500" in failed


def test_the_log_is_asked_for_again_only_while_something_is_pending(
    admin_client: Client, hook: MadeWebhook, log: list[WebhookDelivery]
) -> None:
    assert 'hx-trigger="every 3s"' in page_of(admin_client, hook)
    assert 'hx-trigger="every 3s"' not in page_of(admin_client, hook, status="failed")


def test_a_delivery_shows_what_was_sent_and_what_came_of_it(
    admin_client: Client, hook: MadeWebhook, log: list[WebhookDelivery]
) -> None:
    answer = admin_client.get(reverse("ops:webhook-delivery", args=[hook.webhook.pk, log[2].pk]))

    content = answer.content.decode()
    assert "&quot;number&quot;: 2" in content
    assert str(log[2].event_id) in content
    assert "HTTP 500" in content


def test_a_delivery_is_sent_again(
    admin_client: Client, hook: MadeWebhook, log: list[WebhookDelivery]
) -> None:
    admin_client.post(reverse("ops:webhook-redeliver", args=[hook.webhook.pk, log[2].pk]))

    log[2].refresh_from_db()
    assert (log[2].status, log[2].attempts) == ("pending", 0)


def test_what_cannot_be_sent_again_says_why(
    admin_client: Client, hook: MadeWebhook, log: list[WebhookDelivery]
) -> None:
    webhooks.set_webhook_status(actor=None, webhook=hook.webhook, is_enabled=False)
    url = reverse("ops:webhook-redeliver", args=[hook.webhook.pk, log[2].pk])

    plain, htmx = admin_client.post(url, follow=True), admin_client.post(url, headers=HTMX)

    assert "is disabled. Enable it, then try again." in plain.content.decode()
    assert "Enable it, then try again." in htmx.headers["HX-Trigger"]
    log[2].refresh_from_db()
    assert log[2].status == "failed"


def test_a_delivery_is_not_found_at_another_webhook(admin_client: Client, log: list[WebhookDelivery]) -> None:
    other = make_webhook().webhook

    shown = admin_client.get(reverse("ops:webhook-delivery", args=[other.pk, log[2].pk]))
    sent = admin_client.post(reverse("ops:webhook-redeliver", args=[other.pk, log[2].pk]))

    assert (shown.status_code, sent.status_code) == (404, 404)
    log[2].refresh_from_db()
    assert log[2].status == "failed"


def test_the_list_says_how_each_is_doing_without_its_path(
    admin_client: Client, log: list[WebhookDelivery]
) -> None:
    content = admin_client.get(reverse("ops:webhooks")).content.decode()

    assert "http://127.0.0.1:9" in content
    assert "token=hidden" not in content
    assert f'?status=failed">{1}</a>' in content


def test_the_lists_cost_the_same_number_of_queries_however_long(
    admin_client: Client,
    hook: MadeWebhook,
    log: list[WebhookDelivery],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    def open_lists() -> None:
        with django_assert_num_queries(3):
            admin_client.get(reverse("ops:webhooks"))
        with django_assert_num_queries(4):
            page_of(admin_client, hook)

    open_lists()
    for _ in range(8):
        make_webhook()
        emit()
    open_lists()


# --- In the browser ---------------------------------------------------------------------------


@pytest.fixture
def view(
    page: Page, context: BrowserContext, live_server: LiveServer, transactional_db: None
) -> Iterator[Page]:
    """A page of a signed-in administrator; afterwards nothing may have been blocked or have failed in it."""
    client = Client()
    client.force_login(make_admin(username="ann"))
    value = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": value, "url": live_server.url}])
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert [text for text in complaints if "422" not in text] == []


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_webhook_is_made_tested_and_its_delivery_looked_at(view: Page, live_server: LiveServer) -> None:
    with receiving() as receiver:
        view.goto(f"{live_server.url}/ops/webhooks/")
        view.get_by_role("link", name="Add the first one").click()
        panel = view.locator("#slideover")
        panel.get_by_label("Name").fill("the shop")
        panel.get_by_label("Address").fill(receiver.url)
        panel.get_by_role("button", name="Create webhook").click()
        expect(panel.get_by_text("required").first).to_be_visible()
        panel.get_by_label("Code redeemed").check()
        panel.get_by_role("button", name="Create webhook").click()
        expect(panel.get_by_label("Secret")).to_have_value(re.compile("^whsec_"))
        secret = panel.get_by_label("Secret").input_value()
        panel.get_by_role("button", name="Close").last.click()
        view.locator("#list").get_by_role("link", name="the shop").click()
        view.get_by_role("button", name="Send a test").click()
        expect(view.locator("#deliveries").get_by_text("Pending")).to_be_visible()

        webhooks.deliver_due(at=WebhookDelivery.objects.get().next_attempt_at + timedelta(seconds=1))

        expect(view.locator("#deliveries").locator(".state")).to_have_text("Delivered")
        assert receiver.received[0].headers["x-oneapi-event"] == "webhook.test"
        assert Webhook.objects.get().get_secret() == secret
    view.get_by_role("link", name="webhook.test").click()
    expect(panel.get_by_label("What was sent")).to_have_value(re.compile('"event": "webhook.test"'))
    panel.get_by_role("button", name="Redeliver").click()
    expect(panel).to_be_hidden()
    expect(view.locator("#deliveries").get_by_text("Pending")).to_be_visible()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_deleting_asks_first(view: Page, live_server: LiveServer) -> None:
    make_webhook()
    view.goto(f"{live_server.url}/ops/webhooks/")
    view.get_by_role("button", name="Actions for the shop").click()
    view.get_by_role("button", name="Delete").click()
    expect(view.get_by_role("dialog")).to_contain_text("What is pending is never sent.")
    view.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(view.get_by_text("No webhooks yet")).to_be_visible()
    assert not Webhook.objects.exists()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_every_page_is_accessible_and_fits(
    view: Page, live_server: LiveServer, width: int, scheme: str
) -> None:
    url = "https://a-very-long-name-of-a-host.example.com/hooks/" + "x" * 120
    made = make_webhook(url=url, name="The shop that sells codes and has a long name")
    emit(amount=5)
    webhooks.send_test(webhook=made.webhook, at=NOON)
    delivery = WebhookDelivery.objects.order_by("pk").first()
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        status="failed", next_attempt_at=None, attempts=9, error="No complete answer within 10 seconds."
    )
    view.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    view.set_viewport_size({"width": width, "height": 900})
    base = f"{live_server.url}/ops/webhooks/"
    one = f"{base}{made.webhook.pk}/"

    for page_url in (base, f"{base}new/", one, f"{one}rotate/", f"{one}deliveries/{delivery.pk}/"):
        view.goto(page_url)
        found = Axe().run(view, options=WCAG).response["violations"]
        assert [(page_url, rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
        assert view.evaluate("document.documentElement.scrollWidth") <= width, page_url
