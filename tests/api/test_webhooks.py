"""Webhooks through the API."""

import pytest

from accounts.models import IdempotencyRecord
from billing.models import Webhook, WebhookDelivery
from billing.services import webhooks
from tests.factories import NOON, make_admin, make_root, make_user, make_webhook

pytestmark = pytest.mark.django_db
NEW = {"name": "the shop", "url": "https://shop.example.com/hooks?a=b", "events": ["topup.created"]}


def test_a_webhook_is_made_with_a_secret_that_is_shown_once(program) -> None:
    admin = make_admin()
    asks = program(admin)

    made = asks.post("/webhooks", NEW)
    shown = asks.get(f"/webhooks/{made.body['id']}")

    webhook = Webhook.objects.get()
    assert made.status == 201
    assert made.body["secret"] == webhook.get_secret()
    assert "secret" not in shown.body
    assert {name: shown.body[name] for name in NEW} == NEW
    assert (shown.body["status"], shown.body["created_by_id"]) == ("enabled", admin.pk)
    assert shown.body["secret_hint"] == f"…{made.body['secret'][-4:]}"


def test_a_creation_sent_again_makes_no_second_webhook_and_its_secret_stays_encrypted(program) -> None:
    asks = program(make_admin())

    first, again = (asks.post("/webhooks", NEW, Idempotency_Key="1") for _ in range(2))

    assert again.body == first.body
    assert Webhook.objects.count() == 1
    assert first.body["secret"] not in IdempotencyRecord.objects.get().encrypted_body


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://shop.example.com/"},
        {"url": "https://user:pw@shop.example.com/"},
        {"url": "https://shop.example.com/" + "x" * 1000},
        {"events": []},
        {"events": ["unknown"]},
        {"name": " "},
        {"secret": "mine"},
    ],
)
def test_what_makes_no_sense_is_refused(program, wrong) -> None:
    made = make_webhook().webhook
    asks = program(make_admin())

    created = asks.post("/webhooks", {**NEW, **wrong})
    changed = asks.patch(f"/webhooks/{made.pk}", wrong)

    assert (created.status, changed.status) == (422, 422)
    assert (created.code, changed.code) == ("invalid_request", "invalid_request")
    assert Webhook.objects.get().url == made.url


def test_a_change_leaves_what_is_not_named_and_keeps_the_secret(program) -> None:
    made = make_webhook()
    asks = program(make_admin())

    changed = asks.patch(f"/webhooks/{made.webhook.pk}", {"name": "renamed", "status": "disabled"})

    webhook = Webhook.objects.get()
    assert changed.status == 200
    assert (changed.body["name"], changed.body["status"], changed.body["url"]) == (
        "renamed",
        "disabled",
        made.webhook.url,
    )
    assert (webhook.is_enabled, webhook.get_secret()) == (False, made.secret)


def test_an_update_of_an_old_version_is_refused(program) -> None:
    made = make_webhook().webhook
    asks = program(make_admin())
    path = f"/webhooks/{made.pk}"
    etag = asks.get(path).headers["ETag"]

    first = asks.patch(path, {"name": "first"}, If_Match=etag)
    second = asks.patch(path, {"name": "second"}, If_Match=etag)
    deleted = asks.delete(path, If_Match=etag)

    assert (first.status, second.status, deleted.status) == (200, 412, 412)
    assert Webhook.objects.get().name == "first"
    assert asks.delete(path, If_Match=first.headers["ETag"]).status == 204
    assert not Webhook.objects.exists()


def test_a_new_secret_is_shown_once(program) -> None:
    made = make_webhook()

    rotated = program(make_admin()).post(f"/webhooks/{made.webhook.pk}/rotate", None)

    assert rotated.status == 200
    assert rotated.body["secret"] == Webhook.objects.get().get_secret() != made.secret


def test_a_test_is_put_on_its_way_and_stands_in_the_log(program) -> None:
    made = make_webhook().webhook
    asks = program(make_admin())

    sent = asks.post(f"/webhooks/{made.pk}/test", None)
    listed = asks.get(f"/webhooks/{made.pk}/deliveries?status=pending")

    assert sent.status == 202
    assert (sent.body["event"], sent.body["status"], sent.body["attempts"]) == ("webhook.test", "pending", 0)
    assert sent.body["payload"]["id"] == sent.body["event_id"]
    assert [item["id"] for item in listed.body["items"]] == [sent.body["id"]]
    assert asks.get(f"/webhooks/{made.pk}/deliveries?status=failed").body["items"] == []


def test_the_log_is_paged_newest_first(program) -> None:
    made = make_webhook().webhook
    asks = program(make_admin())
    sent = [webhooks.send_test(webhook=made, at=NOON).pk for _ in range(3)]

    first = asks.get(f"/webhooks/{made.pk}/deliveries?limit=2").body
    rest = asks.get(f"/webhooks/{made.pk}/deliveries?limit=2&cursor={first['next_cursor']}").body

    assert [item["id"] for item in first["items"]] == [sent[2], sent[1]]
    assert [item["id"] for item in rest["items"]] == [sent[0]]
    assert rest["next_cursor"] is None


def test_a_delivery_is_sent_again_unless_it_is_under_way_or_its_webhook_disabled(program) -> None:
    made = make_webhook().webhook
    delivery = webhooks.send_test(webhook=made, at=NOON)
    path = f"/webhooks/{made.pk}/deliveries/{delivery.pk}/redeliver"
    asks = program(make_admin())
    WebhookDelivery.objects.update(status="failed", next_attempt_at=None, attempts=9)

    again = asks.post(path, None)
    WebhookDelivery.objects.update(claimed_until="2999-01-01T00:00Z")
    under_way = asks.post(path, None)
    Webhook.objects.update(is_enabled=False)
    disabled, tested = asks.post(path, None), asks.post(f"/webhooks/{made.pk}/test", None)

    assert (again.status, again.body["status"], again.body["attempts"]) == (202, "pending", 0)
    assert again.body["event_id"] == str(delivery.event_id)
    assert (under_way.status, under_way.code) == (409, "delivery_under_way")
    assert (disabled.status, disabled.code) == (409, "webhook_disabled")
    assert (tested.status, tested.code) == (409, "webhook_disabled")


def operations(webhook: int, delivery: int) -> list[tuple[str, str, object]]:
    return [
        ("GET", "/webhooks", None),
        ("GET", f"/webhooks/{webhook}", None),
        ("GET", f"/webhooks/{webhook}/deliveries", None),
        ("POST", "/webhooks", NEW),
        ("PATCH", f"/webhooks/{webhook}", {"name": "changed"}),
        ("POST", f"/webhooks/{webhook}/rotate", None),
        ("POST", f"/webhooks/{webhook}/test", None),
        ("POST", f"/webhooks/{webhook}/deliveries/{delivery}/redeliver", None),
        ("DELETE", f"/webhooks/{webhook}", None),
    ]


def test_operators_may_do_everything_and_nobody_else_anything(program) -> None:
    made = make_webhook().webhook
    delivery = webhooks.send_test(webhook=made, at=NOON)
    everything = operations(made.pk, delivery.pk)

    def statuses(asks) -> list[int]:
        return [asks.ask(*operation).status for operation in everything]

    assert statuses(type(program(make_user()))()) == [401] * 9
    assert statuses(program(make_user())) == [403] * 9
    assert statuses(program(make_admin(), "users", "topup", "codes", "channels")) == [403] * 9
    assert statuses(program(make_admin(), "read")) == [200] * 3 + [403] * 6
    assert statuses(program(make_root())) == [200, 200, 200, 201, 200, 200, 202, 202, 204]


def test_what_is_not_there_is_not_found(program) -> None:
    made, other = make_webhook().webhook, make_webhook().webhook
    delivery = webhooks.send_test(webhook=made, at=NOON)
    asks = program(make_admin())
    missing = [
        operation for operation in operations(made.pk + 99, delivery.pk) if operation[1] != "/webhooks"
    ]

    found = [asks.ask(*operation).status for operation in missing]
    elsewhere = asks.post(f"/webhooks/{other.pk}/deliveries/{delivery.pk}/redeliver", None)

    assert found == [404] * 7
    assert elsewhere.status == 404


def test_a_list_costs_the_same_number_of_queries_however_long(program, django_assert_max_num_queries) -> None:
    asks = program(make_admin())
    made = make_webhook().webhook

    def ask_for_lists() -> int:
        with django_assert_max_num_queries(20) as queries:
            asks.get("/webhooks")
            asks.get(f"/webhooks/{made.pk}/deliveries")
        return len(queries)

    webhooks.send_test(webhook=made, at=NOON)
    ask_for_lists()  # the first use of an access token is noted
    short = ask_for_lists()
    for _ in range(9):
        make_webhook()
        webhooks.send_test(webhook=made, at=NOON)

    assert ask_for_lists() == short
