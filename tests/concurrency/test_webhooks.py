"""Any number of workers send what is due once; and a control shows that they would not by themselves."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, transaction

from billing.models import WebhookDelivery, WebhookEvent
from billing.services import webhooks
from tests.factories import NOON, make_webhook
from tests.support.receiver import Receiver, receiving

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS, WEBHOOKS, EVENTS = 8, 3, 20


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def note_events(receiver: Receiver) -> None:
    for _ in range(WEBHOOKS):
        make_webhook(receiver.url)
    for _ in range(EVENTS):
        with transaction.atomic():
            webhooks.emit(event=WebhookEvent.TOPUP_CREATED, data={}, at=NOON)


def work_at_once() -> None:
    """Let all workers begin at the same moment and go on until nothing is due for them."""
    start = Barrier(WORKERS)

    def work(_number: int) -> None:
        try:
            connection.ensure_connection()
            start.wait()
            while webhooks.deliver_due(at=NOON):
                pass
        finally:
            connection.close()

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, range(WORKERS)))


def times_sent(receiver: Receiver) -> Counter[int]:
    """How many events were received how often."""
    sent = Counter(request.headers["x-oneapi-delivery"] for request in receiver.received)
    return Counter(sent.values())


def test_many_workers_at_once_send_every_delivery_once(receiver: Receiver) -> None:
    note_events(receiver)

    work_at_once()
    while webhooks.deliver_due(at=NOON):  # the last ones, which another worker's claim kept from all others
        pass

    assert times_sent(receiver) == {WEBHOOKS: EVENTS}  # an event has one id for all of its webhooks
    assert set(WebhookDelivery.objects.values_list("status", "attempts")) == {("delivered", 1)}


def test_control_workers_that_look_before_anybody_claims_send_more_than_once(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_events(receiver)
    everybody_looked = Barrier(WORKERS)

    def claim_unguarded(*, at: Any) -> list[WebhookDelivery]:
        due = list(WebhookDelivery.objects.filter(next_attempt_at__lte=at).select_related("webhook"))
        everybody_looked.wait()
        return due

    def record_unguarded(delivery: WebhookDelivery, *_outcome: Any) -> None:
        WebhookDelivery.objects.filter(pk=delivery.pk).update(status="delivered", next_attempt_at=None)

    monkeypatch.setattr(webhooks, "_claim", claim_unguarded)
    monkeypatch.setattr(webhooks, "_record", record_unguarded)
    work_at_once()

    assert min(times_sent(receiver)) > WEBHOOKS
