"""Addresses that are told what happens here, and what each of them was told: an outbox."""

from collections.abc import Sequence
from typing import ClassVar
from uuid import uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.validators import validate_webhook_url
from oneapi_admin.lib.secrets import decrypt, encrypt

_SECRET_PURPOSE = "billing.webhook_secret"  # noqa: S105  says what the secret is for
TEST_EVENT = "webhook.test"
"""Sent when an operator asks for it, whatever events a webhook is for."""


class WebhookEvent(models.TextChoices):
    TOPUP_CREATED = "topup.created", _("Quota topped up or adjusted")
    REFUND_CREATED = "refund.created", _("Call refunded")
    REVERSAL_CREATED = "reversal.created", _("Movement of quota reversed")
    CODE_REDEEMED = "code.redeemed", _("Code redeemed")
    CODE_ATTACK = "code.attack", _("Guessing of codes noticed")
    CHANNEL_STATE_CHANGED = "channel.state_changed", _("Channel created, enabled, disabled or deleted")
    ALERT_RAISED = "alert.raised", _("Alert raised")
    ALERT_RESOLVED = "alert.resolved", _("Alert resolved")


def validate_events(events: object) -> None:
    """Some of the events that there are."""
    is_list = isinstance(events, Sequence) and not isinstance(events, str)
    if not is_list or any(event not in WebhookEvent.values for event in events):  # type: ignore[attr-defined]
        raise ValidationError(
            _("Choose from: %(events)s."), params={"events": ", ".join(WebhookEvent.values)}
        )


class Webhook(models.Model):
    """An address of another program, and the events that it is told."""

    name = models.CharField(_("name"), max_length=64)
    url = models.CharField(_("address"), max_length=1000, validators=[validate_webhook_url])
    encrypted_secret = models.TextField(editable=False)
    secret_hint = models.CharField(max_length=16, editable=False)
    events = models.JSONField(_("events"), default=list, validators=[validate_events])
    is_enabled = models.BooleanField(_("enabled"), default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name

    @property
    def host(self) -> str:
        """The address without its path and query, which may hold a secret of the receiver."""
        return "/".join(self.url.partition("?")[0].split("/")[:3])

    @property
    def event_labels(self) -> list[str]:
        return [str(WebhookEvent(event).label) for event in self.events if event in WebhookEvent.values]

    def set_secret(self, secret: str) -> None:
        self.encrypted_secret = encrypt(_SECRET_PURPOSE, secret)
        self.secret_hint = f"…{secret[-4:]}"

    def get_secret(self) -> str:
        return decrypt(_SECRET_PURPOSE, self.encrypted_secret)


class DeliveryStatus(models.TextChoices):
    PENDING = "pending", _("Pending")
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")


class WebhookDelivery(models.Model):
    """One event for one webhook, from the transaction of its cause until the receiver has taken it."""

    # Without a constraint: no movement of quota may fail, or wait, because an operator removes a webhook.
    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="deliveries", db_index=False, db_constraint=False
    )
    event = models.CharField(max_length=64)
    event_id = models.UUIDField(default=uuid4)
    payload = models.JSONField()
    status = models.CharField(max_length=9, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    """While somebody is sending it; they may be dead when this is over."""
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(status__in=DeliveryStatus.values), name="webhook_delivery_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(status=DeliveryStatus.PENDING, next_attempt_at__isnull=False)
                | (~models.Q(status=DeliveryStatus.PENDING) & models.Q(next_attempt_at__isnull=True)),
                name="webhook_delivery_pending_is_due",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["webhook", "-id"], name="webhook_delivery_log"),
            models.Index(fields=["webhook", "status", "-id"], name="webhook_delivery_by_status"),
            models.Index(
                fields=["webhook", "next_attempt_at"],
                name="webhook_delivery_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.event_id}"

    @property
    def is_pending(self) -> bool:
        return self.status == DeliveryStatus.PENDING
