"""Upstream accounts and the money we know them to hold."""

from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.validators import validate_base_url
from oneapi_admin.lib.secrets import decrypt, encrypt

_KEY_PURPOSE = "billing.channel_key"


class ChannelStatus(models.TextChoices):
    ENABLED = "enabled", _("Enabled")
    MANUALLY_DISABLED = "manually_disabled", _("Disabled by an operator")
    AUTO_DISABLED = "auto_disabled", _("Disabled automatically")


class Channel(models.Model):
    """An account with an OpenAI-compatible provider."""

    name = models.CharField(_("name"), max_length=64)
    base_url = models.CharField(_("base URL"), max_length=255, validators=[validate_base_url])
    encrypted_key = models.TextField(editable=False)
    key_hint = models.CharField(max_length=16, editable=False)
    model_mapping = models.JSONField(_("model mapping"), default=dict, blank=True)
    groups = models.JSONField(_("groups"), default=list)
    priority = models.IntegerField(_("priority"), default=0)
    weight = models.PositiveIntegerField(_("weight"), default=1)
    cost_multiplier = models.DecimalField(_("cost multiplier"), max_digits=12, decimal_places=6, default=1)
    status = models.CharField(
        _("status"), max_length=17, choices=ChannelStatus, default=ChannelStatus.ENABLED
    )
    is_sandbox = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)
    tested_at = models.DateTimeField(null=True, editable=False)
    test_ms = models.PositiveIntegerField(null=True, editable=False)
    test_error = models.CharField(max_length=255, blank=True, editable=False)
    # Last of the fields, since from here on the name "models" means this one.
    models = models.JSONField(_("models"), default=list)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(status__in=ChannelStatus.values), name="channel_status_known"
            ),
            models.CheckConstraint(
                condition=models.Q(cost_multiplier__gte=0), name="channel_cost_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_enabled(self) -> bool:
        return self.status == ChannelStatus.ENABLED

    def set_key(self, key: str) -> None:
        """Encrypt the provider's key; only its last four characters stay readable."""
        self.encrypted_key = encrypt(_KEY_PURPOSE, key)
        self.key_hint = f"…{key[-4:]}" if len(key) >= 12 else "…"

    def get_key(self) -> str:
        return decrypt(_KEY_PURPOSE, self.encrypted_key)


class ChannelTotals(models.Model):
    """A channel's counters, apart from its settings so that calls and edits do not meet."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, primary_key=True, related_name="totals")
    used_quota = models.BigIntegerField(default=0)
    upstream_cost = models.BigIntegerField(default=0)
    request_count = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"totals of channel {self.pk}"


class BalanceKind(models.TextChoices):
    BALANCE = "balance", _("Prepaid balance")
    SPEND_LIMIT = "spend_limit", _("Spend limit")


class BalanceSnapshot(models.Model):
    """What a provider said an account holds. Append-only; a null is "unknown", which is never 0."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="balance_snapshots", db_index=False
    )
    kind = models.CharField(max_length=11, choices=BalanceKind)
    remaining = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    used = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, default="USD")
    is_unlimited = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["channel", "-id"], name="balance_snapshot_by_channel")]

    def __str__(self) -> str:
        return f"{self.remaining} {self.currency}"

    @property
    def has_money(self) -> bool | None:
        """None when the provider did not tell."""
        if self.is_unlimited:
            return True
        return None if self.remaining is None else self.remaining > 0
