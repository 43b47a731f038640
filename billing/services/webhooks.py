"""Webhooks: telling other programs what happened, at least once.

An event is written down in the transaction of its cause (an outbox) and sent by a job afterwards,
with no transaction open, again and again until the receiver takes it or the patience is over.
"""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import structlog
from cryptography.fernet import InvalidToken
from django.db import connection, transaction
from django.db.models import Min
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import TEST_EVENT, DeliveryStatus, LedgerEntry, Webhook, WebhookDelivery, WebhookEvent
from billing.upstream.client import UpstreamCallError, notify
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.jobs import enqueue
from oneapi_admin.lib.secrets import random_key
from oneapi_admin.lib.sql import Answer, Batch, table

logger = structlog.get_logger(__name__)

DELIVER = "billing.deliver_webhooks"
"""The job that sends what is due."""
RETRY_AFTER_S = (10, 60, 300, 1800, 7200, 21_600, 43_200, 86_400)
"""How long to wait after each attempt that failed, and up to a fifth longer; then it is over."""
CLAIMED_FOR = timedelta(minutes=1)
"""Longer than the longest attempt: whoever claimed a delivery and has not reported by then is dead."""
AT_ONCE = 32
AT_ONCE_EACH = 8
"""Deliveries under way at the same time, in all and for each webhook."""
_SECRET_LENGTH = 40


class WebhookDisabledError(DomainError):
    code = "webhook_disabled"
    http_status = 409
    message = _("The webhook “%(name)s” is disabled.")
    remedy = _("Enable it, then try again.")


class DeliveryUnderWayError(DomainError):
    code = "delivery_under_way"
    http_status = 409
    is_retryable = True
    message = _("It is being delivered at this moment.")
    remedy = _("Look at the result before you send it again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What an operator says of a webhook."""

    name: str
    url: str
    events: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    status_code: int | None
    error: str
    took: timedelta

    @property
    def is_ok(self) -> bool:
        return not self.error


# --- What happens ----------------------------------------------------------------------------


def ask_for_events(batch: Batch) -> Answer:
    """Ask which events the enabled webhooks are for."""
    return batch.execute(f"SELECT events FROM {table(Webhook)} WHERE is_enabled")


def is_told(events: Answer, event: WebhookEvent) -> bool:
    """Whether there is a webhook for an event.

    :param events: from :func:`ask_for_events`
    """
    return any(event.value in json.loads(of_one) for (of_one,) in events.fetchall())


def emit(*, event: WebhookEvent, data: dict[str, Any], at: datetime) -> None:
    """Tell the webhooks of an event about it; call it in the transaction of its cause.

    One query where no webhook is for the event.

    :param data: what JSON can say; amounts in quota units
    """
    emit_all(event=event, data=[data], at=at)


def emit_all(*, event: WebhookEvent, data: Sequence[dict[str, Any]], at: datetime) -> None:
    """Tell the webhooks of an event that it happened several times, each with data of its own."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("emit belongs to the transaction of the cause")
    if not data:
        return
    webhooks = [webhook for webhook in Webhook.objects.filter(is_enabled=True) if event in webhook.events]
    if webhooks:
        _write(webhooks, event=event.value, data=data, at=at)


def emit_movement(*, event: WebhookEvent, entry: LedgerEntry, user: User, **more: Any) -> None:
    """Tell webhooks about a movement of quota, unless it was written, and told, before.

    :param more: of its data
    """
    if entry.is_replay:
        return
    data = {
        "entry_id": entry.pk,
        "kind": str(entry.kind),
        "user_id": user.pk,
        "username": user.username,
        "amount": entry.amount,
        "balance_after": entry.balance_after,
        "actor_id": entry.actor_id,
        "memo": entry.memo,
        **more,
    }
    emit(event=event, data=data, at=entry.created_at)


def _write(
    webhooks: Sequence[Webhook], *, event: str, data: Sequence[dict[str, Any]], at: datetime
) -> WebhookDelivery:
    told_at = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    written = WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            webhook=webhook,
            event=event,
            event_id=event_id,
            payload={"id": str(event_id), "event": event, "created_at": told_at, "data": of_one},
            next_attempt_at=at,
            created_at=at,
        )
        for event_id, of_one in [(uuid4(), of_one) for of_one in data]
        for webhook in webhooks
    )
    _deliver_after_commit()
    return written[0]


def _deliver_after_commit() -> None:
    """Have it sent soon, asking once a transaction; should that fail, the schedule finds it."""
    if not any(waiting[1] is _ask for waiting in connection.run_on_commit):
        transaction.on_commit(_ask, robust=True)


def _ask() -> None:
    enqueue(DELIVER)


# --- Operators -------------------------------------------------------------------------------


def create_webhook(
    *, actor: User | None, settings: WebhookSettings, at: datetime, is_enabled: bool = True
) -> tuple[Webhook, str]:
    """Add a webhook.

    :returns: it and its secret, which is kept encrypted and never shown again
    :raises ValidationError: if a field is not valid
    """
    webhook = Webhook(created_by=actor, created_at=at, is_enabled=is_enabled)
    secret = _new_secret(webhook)
    _apply(webhook, settings)
    changes = audit.differences({}, _audited(webhook))
    with transaction.atomic():
        webhook.save()
        audit.record(action=AuditAction.WEBHOOK_CREATED, actor=actor, subject=webhook, changes=changes)
    return webhook, secret


def update_webhook(*, actor: User, webhook: Webhook, settings: WebhookSettings) -> None:
    """Change a webhook; what is pending goes to the new address.

    :raises ValidationError: if a field is not valid
    """
    before, url_before = _audited(webhook), webhook.url
    _apply(webhook, settings)
    after = {**_audited(webhook), "url_replaced": webhook.url != url_before}
    changes = audit.differences({**before, "url_replaced": False}, after)
    with transaction.atomic():
        webhook.save(update_fields=["name", "url", "events"])
        audit.record(action=AuditAction.WEBHOOK_UPDATED, actor=actor, subject=webhook, changes=changes)


def set_webhook_status(*, actor: User, webhook: Webhook, is_enabled: bool) -> None:
    """Enable or disable a webhook; a disabled one is told of nothing new, and what is pending waits."""
    with transaction.atomic():
        is_changed = Webhook.objects.filter(pk=webhook.pk, is_enabled=not is_enabled).update(
            is_enabled=is_enabled
        )
        if is_enabled:
            _deliver_after_commit()
        if is_changed:
            changes = audit.differences({"is_enabled": not is_enabled}, {"is_enabled": is_enabled})
            audit.record(
                action=AuditAction.WEBHOOK_STATUS_CHANGED, actor=actor, subject=webhook, changes=changes
            )


def rotate_secret(*, actor: User, webhook: Webhook) -> str:
    """Give a webhook a new secret, with which everything is signed from now on, also what is pending.

    :returns: it, shown this once
    """
    secret = _new_secret(webhook)
    with transaction.atomic():
        webhook.save(update_fields=["encrypted_secret", "secret_hint"])
        audit.record(action=AuditAction.WEBHOOK_SECRET_ROTATED, actor=actor, subject=webhook)
    return secret


def delete_webhook(*, actor: User, webhook: Webhook) -> None:
    """Remove a webhook with its log; what is pending is never sent."""
    with transaction.atomic():
        deleted, _by_model = Webhook.objects.filter(pk=webhook.pk).delete()
        if deleted:
            audit.record(action=AuditAction.WEBHOOK_DELETED, actor=actor, subject=webhook)


def send_test(*, webhook: Webhook, at: datetime) -> WebhookDelivery:
    """Send a test event, once, whatever the webhook's events are.

    :raises WebhookDisabledError: if it is disabled
    """
    _check_enabled(webhook)
    with transaction.atomic():
        data = {"message": "This is a test."}
        return _write([webhook], event=TEST_EVENT, data=[data], at=at)


def redeliver(*, delivery: WebhookDelivery, at: datetime) -> WebhookDelivery:
    """Send an event again, under the same id, with a new series of attempts.

    :raises WebhookDisabledError: if its webhook is disabled
    :raises DeliveryUnderWayError: if it is being sent at this moment
    """
    _check_enabled(delivery.webhook)
    with transaction.atomic():
        locked = (
            WebhookDelivery.objects.select_for_update(of=("self",))
            .select_related("webhook")
            .get(pk=delivery.pk)
        )
        if locked.is_pending and locked.claimed_until is not None and locked.claimed_until > at:
            raise DeliveryUnderWayError
        locked.status, locked.attempts = DeliveryStatus.PENDING, 0
        locked.next_attempt_at, locked.claimed_until, locked.delivered_at = at, None, None
        locked.save(update_fields=["status", "attempts", "next_attempt_at", "claimed_until", "delivered_at"])
        _deliver_after_commit()
    return locked


def _check_enabled(webhook: Webhook) -> None:
    if not webhook.is_enabled:
        raise WebhookDisabledError(name=webhook.name)


def _audited(webhook: Webhook) -> dict[str, Any]:
    """Of the address only the host: the rest may hold a secret of the receiver."""
    return audit.values(webhook, "name", "host", "events")


def _new_secret(webhook: Webhook) -> str:
    secret = f"whsec_{random_key(_SECRET_LENGTH)}"
    webhook.set_secret(secret)
    return secret


def _apply(webhook: Webhook, settings: WebhookSettings) -> None:
    webhook.name, webhook.url = settings.name, settings.url
    webhook.events = list(dict.fromkeys(settings.events))
    webhook.full_clean()


# --- Delivery --------------------------------------------------------------------------------


def deliver_due(*, at: datetime) -> int:
    """Send what is due, a limited number at once; any number of processes may do so at the same time.

    :returns: how many were sent, successfully or not; 0 when nothing was due
    """
    claimed = _claim(at=at)
    if not claimed:
        return 0
    with ThreadPoolExecutor(max_workers=len(claimed)) as pool:
        sending = {pool.submit(_send, delivery, at): delivery for delivery in claimed}
        for future in as_completed(sending):
            _record(sending[future], future.result(), at)
    return len(claimed)


def forget_deliveries(*, before: datetime, limit: int) -> int:
    """Delete a portion of the old deliveries, pending ones of disabled webhooks too.

    :returns: how many there were
    """
    old = WebhookDelivery.objects.filter(created_at__lt=before).order_by("pk").values_list("pk", flat=True)
    return WebhookDelivery.objects.filter(pk__in=list(old[:limit])).delete()[0]


def signature(*, secret: str, timestamp: int, body: bytes) -> str:
    """What ``X-Oneapi-Signature`` says: HMAC-SHA-256 of timestamp, a point and the body."""
    content = f"{timestamp}.".encode() + body
    return f"v1={hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()}"


def _claim(*, at: datetime) -> list[WebhookDelivery]:
    """Take due deliveries for oneself, the webhook first that waits longest.

    A webhook has one claimant at a time, so that one whose receiver hangs occupies one worker, not all.
    """
    due = WebhookDelivery.objects.filter(next_attempt_at__lte=at)
    waiting = due.filter(webhook__is_enabled=True).values("webhook").annotate(oldest=Min("next_attempt_at"))
    claimed: list[WebhookDelivery] = []
    for webhook_id in list(waiting.order_by("oldest").values_list("webhook", flat=True)):
        room = min(AT_ONCE - len(claimed), AT_ONCE_EACH)
        if room > 0:
            claimed += _claim_of(webhook_id, at=at, limit=room)
    return claimed


def _claim_of(webhook_id: int, *, at: datetime, limit: int) -> list[WebhookDelivery]:
    until = at + CLAIMED_FOR
    with transaction.atomic():
        found = Webhook.objects.select_for_update(skip_locked=True).filter(pk=webhook_id, is_enabled=True)
        webhook = found.first()
        pending = WebhookDelivery.objects.filter(webhook_id=webhook_id, next_attempt_at__isnull=False)
        if webhook is None or pending.filter(claimed_until__gt=at).exists():
            return []
        due = pending.filter(next_attempt_at__lte=at).select_for_update(skip_locked=True)
        deliveries = list(due.order_by("next_attempt_at", "pk")[:limit])
        for delivery in deliveries:
            delivery.webhook, delivery.attempts = webhook, delivery.attempts + 1
            delivery.claimed_until = delivery.next_attempt_at = until
        WebhookDelivery.objects.bulk_update(deliveries, ["attempts", "claimed_until", "next_attempt_at"])
    return deliveries


def _send(delivery: WebhookDelivery, at: datetime) -> _Outcome:
    """Make one attempt; runs in a thread and leaves the database alone."""
    started = time.monotonic()
    body = json.dumps(delivery.payload, ensure_ascii=False, separators=(",", ":")).encode()
    status_code, error = None, ""
    try:
        status_code = notify(delivery.webhook.url, body=body, headers=_headers(delivery, body, at))
        if not 200 <= status_code < 300:
            error = f"HTTP {status_code}"
    except InvalidToken:
        error = str(_("The webhook's secret cannot be read any more: make a new one."))
    except UpstreamCallError as exc:
        error = str(exc)
    took = timedelta(seconds=time.monotonic() - started)
    return _Outcome(status_code=status_code, error=error[:255], took=took)


def _headers(delivery: WebhookDelivery, body: bytes, at: datetime) -> dict[str, str]:
    timestamp = int(at.timestamp())
    secret = delivery.webhook.get_secret()
    return {
        "X-Oneapi-Event": delivery.event,
        "X-Oneapi-Delivery": str(delivery.event_id),
        "X-Oneapi-Timestamp": str(timestamp),
        "X-Oneapi-Signature": signature(secret=secret, timestamp=timestamp, body=body),
    }


def _record(delivery: WebhookDelivery, outcome: _Outcome, at: datetime) -> None:
    """Note the outcome, unless somebody else has taken the delivery over."""
    ended = at + outcome.took
    status, next_attempt_at = DeliveryStatus.DELIVERED, None
    if not outcome.is_ok:
        next_attempt_at = _next_attempt(delivery, ended)
        status = DeliveryStatus.PENDING if next_attempt_at else DeliveryStatus.FAILED
    mine = WebhookDelivery.objects.filter(
        pk=delivery.pk, attempts=delivery.attempts, claimed_until=delivery.claimed_until
    )
    mine.update(
        status=status,
        next_attempt_at=next_attempt_at,
        claimed_until=None,
        status_code=outcome.status_code,
        error=outcome.error,
        delivered_at=ended if outcome.is_ok else None,
    )
    logger.info(
        "billing.webhook_sent",
        webhook_id=delivery.webhook_id,
        delivery_id=delivery.pk,
        event_name=delivery.event,
        attempt=delivery.attempts,
        outcome=status.value,
        status_code=outcome.status_code,
    )


def _next_attempt(delivery: WebhookDelivery, ended: datetime) -> datetime | None:
    """When to try again; None when it is over. A test is made once: somebody is watching."""
    if delivery.event == TEST_EVENT or delivery.attempts > len(RETRY_AFTER_S):
        return None
    delay = RETRY_AFTER_S[delivery.attempts - 1]
    return ended + timedelta(seconds=delay + secrets.randbelow(delay // 5 + 1))
