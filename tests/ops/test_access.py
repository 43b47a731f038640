"""Who gets to which of the operators' pages at all; the other files are about what the pages do."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from billing.models import Alert, BalanceSnapshot, BulkTopUp, LedgerEntry, UsageRecord
from billing.services import acts, webhooks
from billing.services.alerts.destinations import add_destination
from billing.services.alerts.rules import RuleSettings, create_rule
from billing.services.approval_settings import set_approval_threshold
from billing.services.approvals import submit
from billing.services.bulk import TopUp, top_up_many
from billing.services.calls import settle
from billing.services.reconciling import reconcile
from oneapi_admin.urls_ops import urlpatterns
from redemption.models import RedemptionCode
from tests.factories import (
    NOON,
    make_admin,
    make_batch,
    make_channel,
    make_root,
    make_token,
    make_webhook,
    settlement,
)

NAMES = [pattern.name for pattern in urlpatterns]
POST_ONLY = {
    "user-signup",
    "channel-models",
    "channel-balance-fields",
    "channel-status",
    "channel-delete",
    "channel-refresh-balance",
    "webhook-status",
    "webhook-delete",
    "webhook-test",
    "webhook-redeliver",
} | {
    "alert-destination-delete",
    "alert-destination-test",
    "alert-rule-delete",
    "alert-rule-status",
    "alert-rules-usual",
    "approval-approve",
    "approval-withdraw",
    "price-withdraw",
    "code-batch-status",
    "code-cancel",
    "code-download",
    "code-forget",
    "code-qr",
    "code-retry",
    "code-show",
    "code-status",
}
READ_ONLY = {
    "alert",
    "alert-deliveries",
    "alert-destinations",
    "alert-rules",
    "alerts",
    "dashboard",
    "users",
    "user-detail",
    "channels",
    "prices",
    "price-history",
    "rates",
    "rate-history",
    "codes",
    "code-detail",
    "code-history",
    "code-number",
    "code-progress",
    "code-redemptions",
} | {
    "approval",
    "approvals",
    "approvals-waiting",
    "audit",
    "health",
    "health-summary",
    "ledger",
    "ledger-bulk",
    "ledger-entry",
    "ledger-export",
    "reconciliation",
    "reconciliation-channel",
    "reconciliation-export",
    "reconciliation-interval",
    "webhooks",
    "webhook-detail",
    "webhook-delivery",
}
ROOT_ONLY = {"approvals-threshold"}
LEADS_ELSEWHERE = {"code-number"}
ABOUT_A_USER = ["user-detail", "user-top-up", "user-adjust", "user-edit", "user-password"]


@pytest.fixture
def urls(root: User, person: User) -> dict[str, str]:
    channel = make_channel()
    batch = make_batch(root, count=1)
    code = RedemptionCode.objects.get()
    webhook = make_webhook().webhook
    delivery = webhooks.send_test(webhook=webhook, at=NOON)
    settle(settlements=[settlement(make_token(person), channel, quota=5)], at=NOON)
    top_up_many(actor=make_admin(), items=[TopUp(user_id=person.pk, quota=5)], at=NOON)
    set_approval_threshold(actor=root, threshold=5)
    act = acts.TopUp(user_id=person.pk, quota=6, memo="m")
    proposal = submit(actor=make_admin(), act=act, at=NOON)
    snapshots = [
        BalanceSnapshot(channel=channel, kind="balance", remaining=at, created_at=NOON) for at in (2, 1)
    ]
    for snapshot in snapshots:
        snapshot.save()
    compared = reconcile(channel=channel, first=snapshots[0], last=snapshots[1], at=NOON)
    entry, call = LedgerEntry.objects.order_by("pk")[0], UsageRecord.objects.get()
    watching = create_rule(actor=root, settings=RuleSettings(name="r", kind="backlog", scope="site"), at=NOON)
    alert = Alert.objects.create(
        rule=watching, subject_type="site", subject_id=0, threshold=1, value=2, episode=1, raised_at=NOON
    )
    destination = add_destination(
        actor=root, owner=None, name="robot", address="feishu://0123-secret-abcd", at=NOON
    )
    by_beginning = {  # the longest that fits
        "user-": [person.pk],
        "user-create": [],
        "user-signup": [],
        "channel-": [channel.pk],
        "channel-create": [],
        "channel-models": [],
        "channel-balance-fields": [],
        "reconciliation-": [channel.pk],
        "reconciliation-interval": [compared.pk],
        "alert": [alert.pk],
        "alerts": [],
        "alert-": [],
        "alert-rule-": [watching.pk],
        "alert-rule-create": [],
        "alert-destination-": [destination.pk],
        "alert-destination-create": [],
        "webhook-": [webhook.pk],
        "webhook-create": [],
        "webhook-delivery": [webhook.pk, delivery.pk],
        "webhook-redeliver": [webhook.pk, delivery.pk],
        "code-": [batch.pk],
        "code-create": [],
        "code-find": [],
        "code-history": [batch.pk, code.pk],
        "code-number": [code.pk],
        "code-redemptions": [],
        "code-status": [batch.pk, code.pk],
        "approval": [proposal.pk],
        "approvals": [],
        "ledger-entry": [entry.pk],
        "ledger-reverse": [entry.pk],
        "ledger-bulk-undo": [BulkTopUp.objects.get().pk],
        "usage-refund": [call.pk],
    }

    def args_of(name: str) -> list[int]:
        fitting = [beginning for beginning in by_beginning if name.startswith(beginning)]
        return by_beginning[max(fitting, key=len)] if fitting else []

    return {name: reverse(f"ops:{name}", args=args_of(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_visitor_is_sent_to_the_sign_in_page(name: str, urls: dict[str, str], client: Client) -> None:
    answer = client.get(urls[name])

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_user_finds_nothing(
    name: str, urls: dict[str, str], person: User, client: Client
) -> None:
    client.force_login(person)

    assert client.get(urls[name]).status_code == 404
    assert client.post(urls[name]).status_code == 404


@pytest.mark.parametrize("name", sorted(set(NAMES) - POST_ONLY - ROOT_ONLY - LEADS_ELSEWHERE))
def test_an_administrator_opens_every_page(name: str, urls: dict[str, str], admin_client: Client) -> None:
    assert admin_client.get(urls[name]).status_code == 200


@pytest.mark.parametrize("name", sorted(ROOT_ONLY))
def test_an_administrator_finds_nothing_where_root_alone_sets_something(
    name: str, urls: dict[str, str], admin_client: Client, root_client: Client
) -> None:
    answers = [admin_client.get(urls[name]), admin_client.post(urls[name]), root_client.get(urls[name])]

    assert [answer.status_code for answer in answers] == [404, 404, 200]


@pytest.mark.parametrize("name", sorted(set(NAMES) - POST_ONLY - LEADS_ELSEWHERE))
def test_every_page_has_a_part_for_htmx(name: str, urls: dict[str, str], root_client: Client) -> None:
    assert root_client.get(urls[name], headers={"HX-Request": "true"}).status_code == 200


@pytest.mark.parametrize("name", sorted(POST_ONLY))
def test_changes_are_not_made_by_get(name: str, urls: dict[str, str], root_client: Client) -> None:
    assert root_client.get(urls[name]).status_code == 405


@pytest.mark.parametrize("name", sorted(READ_ONLY))
def test_pages_that_only_show_take_no_post(name: str, urls: dict[str, str], root_client: Client) -> None:
    assert root_client.post(urls[name]).status_code == 405


@pytest.mark.parametrize("name", sorted(set(NAMES) - READ_ONLY - POST_ONLY))
def test_forms_take_neither_put_nor_delete(name: str, urls: dict[str, str], root_client: Client) -> None:
    assert root_client.put(urls[name]).status_code == 405
    assert root_client.delete(urls[name]).status_code == 405


@pytest.mark.parametrize("name", ABOUT_A_USER)
def test_an_administrator_cannot_see_or_touch_root(name: str, root: User, admin_client: Client) -> None:
    url = reverse(f"ops:{name}", args=[root.pk])

    assert admin_client.get(url).status_code == 404
    assert (
        admin_client.post(url, {"amount": "5", "unit": "usd"}).status_code == 404
        if name != "user-detail"
        else True
    )
    assert not LedgerEntry.objects.exists()


@pytest.mark.parametrize("name", ABOUT_A_USER[1:])
def test_an_administrator_cannot_touch_another_one(name: str, admin: User, admin_client: Client) -> None:
    assert admin_client.get(reverse(f"ops:{name}", args=[admin.pk])).status_code == 404


def test_root_is_missing_from_what_an_administrator_sees(admin_client: Client) -> None:
    hidden = make_root(username="the-hidden-root", balance=77_000_000)

    for name in ("users", "ledger", "ledger-export", "dashboard", "audit"):
        answer = admin_client.get(reverse(f"ops:{name}"))
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert hidden.username.encode() not in content, name


def test_a_post_without_a_csrf_token_is_refused(root: User, person: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(root)

    assert strict.post(reverse("ops:user-top-up", args=[person.pk]), {"amount": "5"}).status_code == 403
