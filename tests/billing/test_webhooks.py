"""Webhooks: what is noted with which effect, and how it reaches a real receiver."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from billing import tasks
from billing.models import DeliveryStatus, QuotaAccount, Webhook, WebhookDelivery, WebhookEvent
from billing.services import accounts, channels, webhooks
from billing.upstream import client
from docs.examples.verify_webhook import InvalidWebhookError, verify_webhook
from oneapi_admin.lib import jobs
from redemption.services.redeeming import redeem
from tests.factories import (
    NOON,
    MadeWebhook,
    codes_in_clear,
    make_admin,
    make_batch,
    make_channel,
    make_user,
    make_webhook,
)
from tests.support.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db
A_SECOND = timedelta(seconds=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def hook(receiver: Receiver) -> MadeWebhook:
    return make_webhook(receiver.url)


def emit(at: datetime = NOON, **data: Any) -> None:
    with transaction.atomic():
        webhooks.emit(event=WebhookEvent.TOPUP_CREATED, data=data, at=at)


def told() -> list[dict[str, Any]]:
    """What was noted, in its order."""
    return [delivery.payload for delivery in WebhookDelivery.objects.order_by("pk")]


def delivery() -> WebhookDelivery:
    return WebhookDelivery.objects.get()


# --- What happens -----------------------------------------------------------------------------


def test_a_top_up_is_told_with_who_got_what_from_whom(hook: MadeWebhook) -> None:
    admin, user = make_admin(), make_user()

    entry = accounts.top_up(actor=admin, user=user, quota=500, memo="order 7", at=NOON)

    [event] = told()
    assert event["event"] == "topup.created"
    assert event["created_at"] == "2026-03-02T12:00:00.000000Z"
    assert event["id"] == str(delivery().event_id)
    assert event["data"] == {
        "entry_id": entry.pk,
        "kind": "top_up",
        "user_id": user.pk,
        "username": user.username,
        "amount": 500,
        "balance_after": 500,
        "actor_id": admin.pk,
        "memo": "order 7",
    }


def test_an_adjustment_is_told_as_such(hook: MadeWebhook) -> None:
    user = make_user(balance=900)
    WebhookDelivery.objects.all().delete()

    accounts.adjust(actor=make_admin(), user=user, quota=-400, memo="m", at=NOON)

    [event] = told()
    data = event["data"]
    assert (event["event"], data["kind"], data["amount"], data["balance_after"]) == (
        "topup.created",
        "adjustment",
        -400,
        500,
    )


def test_the_first_quota_of_a_new_user_is_told(hook: MadeWebhook) -> None:
    make_user(balance=900)

    assert [event["data"]["amount"] for event in told()] == [900]


@pytest.mark.parametrize("service", [accounts.top_up, accounts.adjust])
def test_a_movement_that_is_asked_for_again_is_told_once(hook: MadeWebhook, service: Any) -> None:
    movement = {"actor": make_admin(), "user": make_user(), "quota": 5, "memo": "m", "idempotency_key": "k"}

    first = service(**movement, at=NOON)
    again = service(**movement, at=NOON)

    assert first.pk == again.pk
    assert len(told()) == 1


def test_a_redeemed_code_is_told_without_the_code(hook: MadeWebhook) -> None:
    user = make_user()
    batch = make_batch(count=1)
    [code] = codes_in_clear(batch)

    redeem(code=code, user=user, at=NOON)

    [event] = told()
    assert event["event"] == "code.redeemed"
    assert (event["data"]["batch_id"], event["data"]["user_id"]) == (batch.pk, user.pk)
    assert (event["data"]["amount"], event["data"]["code_hint"]) == (500, code[-6:-2])
    assert code not in json.dumps(event)


def test_every_change_of_a_channels_state_is_told_and_nothing_else_of_it(hook: MadeWebhook) -> None:
    channel = make_channel(name="c")
    channels.set_channel_status(actor=None, channel=channel, is_enabled=False)
    channels.set_channel_status(actor=None, channel=channel, is_enabled=False)
    channels.change_status(actor=None, channel_id=channel.pk, status="auto_disabled")
    channels.set_channel_status(actor=None, channel=channel, is_enabled=True)
    channels.update_channel(
        actor=None,
        channel=channel,
        settings=channels.ChannelSettings(name="d", base_url="http://127.0.0.1:9", models=["m"]),
    )
    channels.delete_channel(actor=None, channel=channel)
    channels.delete_channel(actor=None, channel=channel)

    states = [(event["data"]["status_before"], event["data"]["status"]) for event in told()]
    assert states == [
        (None, "enabled"),
        ("enabled", "manually_disabled"),
        ("manually_disabled", "auto_disabled"),
        ("auto_disabled", "enabled"),
        ("enabled", None),
    ]
    assert {event["data"]["channel_id"] for event in told()} == {channel.pk}


def test_only_enabled_webhooks_for_the_event_are_told(hook: MadeWebhook) -> None:
    make_webhook(events=["code.redeemed"])
    off = make_webhook().webhook
    webhooks.set_webhook_status(actor=None, webhook=off, is_enabled=False)
    both = make_webhook(events=["topup.created", "code.redeemed"]).webhook

    emit()

    noted = WebhookDelivery.objects.values_list("webhook_id", flat=True)
    assert sorted(noted) == sorted([hook.webhook.pk, both.pk])
    assert len({event["id"] for event in told()}) == 1


def test_an_effect_that_is_rolled_back_leaves_nothing_to_tell(hook: MadeWebhook) -> None:
    with transaction.atomic():
        accounts.top_up(actor=make_admin(), user=make_user(), quota=5, at=NOON)
        assert len(told()) == 1
        transaction.set_rollback(True)

    assert told() == []
    assert not QuotaAccount.objects.exists()


def test_without_a_webhook_for_the_event_telling_costs_one_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_webhook(events=["code.redeemed"])

    with transaction.atomic(), django_assert_num_queries(1):
        webhooks.emit(event=WebhookEvent.TOPUP_CREATED, data={}, at=NOON)


def test_telling_three_webhooks_costs_two_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(3):
        make_webhook()

    with transaction.atomic(), django_assert_num_queries(2):
        webhooks.emit(event=WebhookEvent.TOPUP_CREATED, data={}, at=NOON)


@pytest.mark.django_db(transaction=True)
def test_telling_outside_a_transaction_is_a_mistake() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        webhooks.emit(event=WebhookEvent.TOPUP_CREATED, data={}, at=NOON)


# --- Delivery ---------------------------------------------------------------------------------


def test_a_delivery_is_signed_json_that_the_example_verifies(hook: MadeWebhook, receiver: Receiver) -> None:
    emit(username="安")

    assert webhooks.deliver_due(at=NOON) == 1

    [request] = receiver.received
    assert request.path == "/hooks?shop=1"
    headers = request.headers
    assert headers["content-type"] == "application/json"
    assert headers["x-oneapi-event"] == "topup.created"
    assert headers["x-oneapi-delivery"] == str(delivery().event_id)
    assert headers["x-oneapi-timestamp"] == str(int(NOON.timestamp()))
    assert request.verified(hook.secret, now=NOON.timestamp()) == told()[0]
    assert (delivery().status, delivery().status_code, delivery().attempts) == ("delivered", 204, 1)
    assert delivery().delivered_at >= NOON


def test_the_example_refuses_what_was_tampered_with_or_is_old(hook: MadeWebhook, receiver: Receiver) -> None:
    emit(amount=5)
    webhooks.deliver_due(at=NOON)
    [request] = receiver.received
    now = NOON.timestamp()
    headers, body = request.headers, request.body
    other_time = {**headers, "x-oneapi-timestamp": str(int(now) + 1)}
    refused: list[tuple[dict[str, str], bytes, str, float]] = [
        (headers, body.replace(b'"amount":5', b'"amount":6'), hook.secret, now),
        (headers, body, "whsec_another", now),
        (other_time, body, hook.secret, now),
        (headers, body, hook.secret, now + 301),
        (headers, body, hook.secret, now - 301),
        ({**headers, "x-oneapi-timestamp": "soon"}, body, hook.secret, now),
        ({**headers, "x-oneapi-signature": ""}, body, hook.secret, now),
        ({}, body, hook.secret, now),
    ]

    assert verify_webhook(headers, body, secret=hook.secret, now=now + 299)["data"] == {"amount": 5}
    shouted = {name.upper(): value for name, value in headers.items()}
    assert verify_webhook(shouted, body, secret=hook.secret, now=now)
    for sent, content, secret, at in refused:
        with pytest.raises(InvalidWebhookError):
            verify_webhook(sent, content, secret=secret, now=at)


def test_what_is_refused_is_sent_again_under_the_same_id_until_it_is_taken(
    hook: MadeWebhook, receiver: Receiver
) -> None:
    emit()
    receiver.answers = [500, 302]

    webhooks.deliver_due(at=NOON)
    after_first = delivery()
    assert webhooks.deliver_due(at=after_first.next_attempt_at - A_SECOND) == 0
    webhooks.deliver_due(at=after_first.next_attempt_at)
    after_second = delivery()
    webhooks.deliver_due(at=after_second.next_attempt_at)

    assert (after_first.status, after_first.error, after_first.status_code) == ("pending", "HTTP 500", 500)
    assert (after_second.error, after_second.attempts) == ("HTTP 302", 2)
    assert (delivery().status, delivery().error, delivery().attempts) == ("delivered", "", 3)
    assert len(receiver.received) == 3
    assert len({request.body for request in receiver.received}) == 1
    later = after_second.next_attempt_at.timestamp()
    assert receiver.received[2].verified(hook.secret, now=later)["event"] == "topup.created"


def test_a_receiver_that_does_not_answer_in_time_is_tried_again(
    hook: MadeWebhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WEBHOOK_TIMEOUT", timedelta(milliseconds=300))
    emit()
    receiver.hangs = True
    webhooks.deliver_due(at=NOON)
    waiting = delivery()
    receiver.hangs = False
    receiver.release.set()
    webhooks.deliver_due(at=waiting.next_attempt_at)

    assert (waiting.status, waiting.status_code) == ("pending", None)
    assert waiting.error.startswith("No complete answer within")
    assert delivery().status == "delivered"


def test_a_receiver_that_is_away_is_tried_again(hook: MadeWebhook, receiver: Receiver) -> None:
    Webhook.objects.update(url="http://127.0.0.1:9/")
    emit()
    webhooks.deliver_due(at=NOON)
    waiting = delivery()
    Webhook.objects.update(url=receiver.url)
    webhooks.deliver_due(at=waiting.next_attempt_at)

    assert (waiting.status, waiting.status_code) == ("pending", None)
    assert waiting.error == "The connection was refused: nothing listens at this address."
    assert delivery().status == "delivered"


def test_attempts_grow_rarer_and_end_after_about_two_days(hook: MadeWebhook, receiver: Receiver) -> None:
    receiver.answers = [503] * 20
    emit()
    waits, at = [], NOON

    for _ in range(8):
        webhooks.deliver_due(at=at)
        waits.append(round((delivery().next_attempt_at - at).total_seconds()))
        at = delivery().next_attempt_at
    webhooks.deliver_due(at=at)

    expected = [10, 60, 300, 1800, 7200, 21_600, 43_200, 86_400]
    bounds = [(wait, wait * 6 // 5 + 2) for wait in expected]
    assert [low <= wait <= high for wait, (low, high) in zip(waits, bounds, strict=True)] == [True] * 8
    assert (delivery().status, delivery().attempts, delivery().next_attempt_at) == ("failed", 9, None)
    assert webhooks.deliver_due(at=at + timedelta(days=9)) == 0
    assert len(receiver.received) == 9


def test_waiting_times_differ_so_that_receivers_are_not_flooded(hook: MadeWebhook) -> None:
    Webhook.objects.update(url="http://127.0.0.1:9/")
    for _ in range(8):
        emit()
    WebhookDelivery.objects.update(attempts=7)

    webhooks.deliver_due(at=NOON)

    assert len(set(WebhookDelivery.objects.values_list("next_attempt_at", flat=True))) > 1
    gaps = {at - NOON for at in WebhookDelivery.objects.values_list("next_attempt_at", flat=True)}
    assert max(gaps) - min(gaps) > timedelta(seconds=60)


def test_redirects_are_not_followed(hook: MadeWebhook, receiver: Receiver) -> None:
    receiver.answers, receiver.headers = [307], {"Location": receiver.url.replace("hooks", "elsewhere")}
    emit()

    webhooks.deliver_due(at=NOON)

    assert [request.path for request in receiver.received] == ["/hooks?shop=1"]
    assert (delivery().status, delivery().error) == ("pending", "HTTP 307")


def test_a_webhook_whose_secret_is_lost_says_so_and_keeps_no_other_from_being_told(
    hook: MadeWebhook, receiver: Receiver
) -> None:
    broken = make_webhook(receiver.url).webhook
    Webhook.objects.filter(pk=broken.pk).update(encrypted_secret="nonsense")
    emit()

    webhooks.deliver_due(at=NOON)

    assert len(receiver.received) == 1
    assert "secret cannot be read" in broken.deliveries.get().error
    assert hook.webhook.deliveries.get().status == "delivered"


def test_each_webhook_gets_its_turn_beside_one_with_a_long_queue(receiver: Receiver) -> None:
    busy, quiet = make_webhook(receiver.url).webhook, make_webhook(receiver.url, events=["code.redeemed"])
    for _ in range(40):
        emit()
    with transaction.atomic():
        webhooks.emit(event=WebhookEvent.CODE_REDEEMED, data={}, at=NOON + A_SECOND)

    webhooks.deliver_due(at=NOON + A_SECOND)

    assert quiet.webhook.deliveries.get().status == "delivered"
    assert busy.deliveries.filter(status="delivered").count() == webhooks.AT_ONCE_EACH


def test_a_claimed_delivery_is_left_alone_until_its_claimant_must_be_dead(
    hook: MadeWebhook, receiver: Receiver
) -> None:
    emit()
    [claimed] = webhooks._claim(at=NOON)

    assert webhooks.deliver_due(at=NOON + webhooks.CLAIMED_FOR - A_SECOND) == 0
    assert webhooks.deliver_due(at=NOON + webhooks.CLAIMED_FOR) == 1
    late = webhooks._Outcome(status_code=None, error="too late", took=A_SECOND)
    webhooks._record(claimed, late, NOON)

    assert len(receiver.received) == 1
    assert (delivery().status, delivery().error) == ("delivered", "")


def test_a_receiver_that_hangs_occupies_one_worker_and_holds_up_no_other(receiver: Receiver) -> None:
    make_webhook(receiver.url, events=["topup.created"])
    other = make_webhook(receiver.url, events=["code.redeemed"]).webhook
    emit()
    assert len(webhooks._claim(at=NOON)) == 1
    emit()
    with transaction.atomic():
        webhooks.emit(event=WebhookEvent.CODE_REDEEMED, data={}, at=NOON)

    by_another_worker = webhooks._claim(at=NOON + A_SECOND)

    assert [claimed.webhook for claimed in by_another_worker] == [other]


def test_a_disabled_webhook_is_told_when_it_is_enabled_again(hook: MadeWebhook, receiver: Receiver) -> None:
    emit()
    webhooks.set_webhook_status(actor=None, webhook=hook.webhook, is_enabled=False)
    assert webhooks.deliver_due(at=NOON) == 0
    webhooks.set_webhook_status(actor=None, webhook=hook.webhook, is_enabled=True)

    assert webhooks.deliver_due(at=NOON) == 1
    assert len(receiver.received) == 1


def test_a_test_is_sent_once_whatever_the_events_are(receiver: Receiver) -> None:
    made = make_webhook(receiver.url, events=["code.redeemed"])
    receiver.answers = [500]

    webhooks.send_test(webhook=made.webhook, at=NOON)
    webhooks.deliver_due(at=NOON)

    [request] = receiver.received
    assert request.verified(made.secret, now=NOON.timestamp())["event"] == "webhook.test"
    assert (delivery().status, delivery().error) == ("failed", "HTTP 500")


def test_a_failed_delivery_is_sent_again_on_demand_with_its_id_and_all_its_attempts(
    hook: MadeWebhook, receiver: Receiver
) -> None:
    emit()
    WebhookDelivery.objects.update(status=DeliveryStatus.FAILED, next_attempt_at=None, attempts=9)
    receiver.answers = [500, 204]

    webhooks.redeliver(delivery=delivery(), at=NOON)
    webhooks.deliver_due(at=NOON)
    webhooks.deliver_due(at=delivery().next_attempt_at)

    assert (delivery().status, delivery().attempts) == ("delivered", 2)
    assert {json.loads(request.body)["id"] for request in receiver.received} == {str(delivery().event_id)}


def test_what_is_being_sent_is_not_sent_again_meanwhile(hook: MadeWebhook) -> None:
    emit()
    [claimed] = webhooks._claim(at=NOON)

    with pytest.raises(webhooks.DeliveryUnderWayError):
        webhooks.redeliver(delivery=claimed, at=NOON)

    assert delivery().claimed_until == NOON + webhooks.CLAIMED_FOR


@pytest.mark.parametrize("what", ["test", "redeliver"])
def test_nothing_is_sent_on_demand_to_a_disabled_webhook(hook: MadeWebhook, what: str) -> None:
    emit()
    webhooks.set_webhook_status(actor=None, webhook=hook.webhook, is_enabled=False)
    off = Webhook.objects.get()
    actions = {
        "test": lambda: webhooks.send_test(webhook=off, at=NOON),
        "redeliver": lambda: webhooks.redeliver(delivery=delivery(), at=NOON),
    }

    with pytest.raises(webhooks.WebhookDisabledError):
        actions[what]()


def test_a_new_secret_signs_what_is_pending_too(hook: MadeWebhook, receiver: Receiver) -> None:
    emit()
    new = webhooks.rotate_secret(actor=None, webhook=hook.webhook)
    webhooks.deliver_due(at=NOON)

    [request] = receiver.received
    assert request.verified(new, now=NOON.timestamp())
    with pytest.raises(InvalidWebhookError):
        request.verified(hook.secret, now=NOON.timestamp())


def test_the_secret_is_neither_stored_in_clear_nor_logged(
    hook: MadeWebhook, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [500]
    with caplog.at_level(logging.DEBUG):
        emit()
        webhooks.deliver_due(at=NOON)
        webhooks.deliver_due(at=delivery().next_attempt_at)

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM billing_webhook")
        stored = str(cursor.fetchall())
    key = hook.secret.removeprefix("whsec_")
    assert hook.webhook.get_secret() == hook.secret
    assert len(key) == 40
    assert key not in stored
    assert key not in caplog.text
    assert "shop=1" not in caplog.text
    assert "webhook_sent" in caplog.text


def test_deliveries_are_forgotten_after_thirty_days() -> None:
    make_webhook()
    emit(at=timezone.now() - timedelta(days=30, hours=1))
    emit(at=timezone.now() - timedelta(days=29))
    kept = WebhookDelivery.objects.last()

    tasks.forget_deliveries()

    assert list(WebhookDelivery.objects.all()) == [kept]


def test_a_deleted_webhook_takes_its_log_along(hook: MadeWebhook) -> None:
    emit()

    webhooks.delete_webhook(actor=None, webhook=hook.webhook)

    assert not WebhookDelivery.objects.exists()
    assert webhooks.deliver_due(at=NOON) == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com",
        "http://127.0.0.1:9000/hooks?token=a%20b",
        "http://[::1]:8000/",
        "http://receiver:65535/x/y.z",
    ],
)
def test_addresses_of_any_host_are_taken(url: str) -> None:
    assert make_webhook(url).webhook.url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://shop.example.com/",
        "shop.example.com",
        "http://",
        "http:///hooks",
        "https://user:secret@shop.example.com/",
        "https://shop.example.com/#part",
        "https://shop.example.com:0/",
        "https://shop.example.com:65536/",
        "https://shop.example.com/a b",
        "https://shop.example.com/\n",
        "https://shop.example.com\n",
        "https://sch\xf6n.example.com/",
        "file:///etc/passwd",
        "https://shop.example.com/" + "x" * 1000,
    ],
)
def test_what_is_no_address_to_post_to_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        make_webhook(url)

    assert set(refused.value.message_dict) == {"url"}


@pytest.mark.parametrize("events", [[], ["unknown"], ["topup.created", "unknown"], "topup.created"])
def test_unknown_events_are_refused(events: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        make_webhook(events=events)

    assert set(refused.value.message_dict) == {"events"}


# --- Promptness -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_job_is_asked_for_once_a_transaction_and_only_after_its_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(webhooks, "enqueue", lambda name: asked.append((name, len(told()))))
    make_webhook()
    with transaction.atomic():
        emit()
        emit()
        assert asked == []

    with transaction.atomic():
        emit()
        transaction.set_rollback(True)

    assert asked == [("billing.deliver_webhooks", 2)]


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_keeps_nobody_from_topping_up(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CELERY_BROKER_URL = "redis+socket:///nowhere/valkey.sock?virtual_host=0"
    make_webhook()

    accounts.top_up(actor=make_admin(), user=make_user(), quota=5, at=NOON)

    assert delivery().status == "pending"
    assert "jobs.not_enqueued" in caplog.text


def test_the_job_looks_again_only_where_something_was_due(
    hook: MadeWebhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tasks, "enqueue", asked.append)
    tasks.deliver_webhooks()
    assert asked == []
    emit()

    tasks.deliver_webhooks()

    assert asked == ["billing.deliver_webhooks"]
    assert receiver.received[0].verified(hook.secret)["event"] == "topup.created"


def test_looking_for_due_deliveries_costs_one_query_when_there_are_none(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(3):
        make_webhook()
    emit(at=NOON + A_SECOND)

    with django_assert_num_queries(1):
        webhooks.deliver_due(at=NOON)


def test_beat_looks_every_few_seconds_and_tidies_up(settings: Any) -> None:
    schedule = {entry["task"]: entry["schedule"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}

    assert schedule["billing.deliver_webhooks"] <= 5
    assert "billing.forget_deliveries" in schedule
    assert jobs._PATIENCE_S <= 2
