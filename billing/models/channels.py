"""Upstream accounts and the money we know them to hold."""

import json
from collections.abc import Mapping
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.registry import guess
from billing.validators import validate_base_url
from oneapi_admin.lib.secrets import decrypt, encrypt

_KEY_PURPOSE = "billing.channel_key"
_ACCESS_PURPOSE = "billing.balance_access"


class ChannelStatus(models.TextChoices):
    ENABLED = "enabled", _("Enabled")
    MANUALLY_DISABLED = "manually_disabled", _("Disabled by an operator")
    AUTO_DISABLED = "auto_disabled", _("Disabled automatically")


class DisabledReason(models.TextChoices):
    BALANCE = "balance_exhausted", _("The provider's account is empty")
    KEY_BUDGET = "budget_exhausted", _("The key's budget is used up")
    SPEND_LIMIT = "limit_reached", _("The provider's spend limit is reached")


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
    disabled_reason = models.CharField(max_length=17, blank=True, editable=False, choices=DisabledReason)
    """Why it was disabled automatically; empty for all others."""
    balance_source = models.CharField(_("balance from"), max_length=32, blank=True)
    """The code of the adapter that reads the balance; empty to have it guessed from the base URL."""
    encrypted_balance_access = models.TextField(blank=True, editable=False)
    balance_access_hints = models.JSONField(default=dict, editable=False)
    """What is readable of the credentials for the balance, by the names of the adapter's fields."""
    balance_minutes = models.PositiveSmallIntegerField(
        _("minutes between two balances"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(1440)],
    )
    drift_tolerance = models.DecimalField(
        _("tolerated drift in percent"),
        max_digits=5,
        decimal_places=2,
        default=5,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
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

    @property
    def source_of_balance(self) -> str:
        """The code of the adapter that reads the balance, chosen or guessed."""
        return self.balance_source or ("sandbox" if self.is_sandbox else guess(self.base_url))

    def set_balance_access(self, credentials: Mapping[str, str]) -> None:
        """Encrypt credentials that read the balance and never serve calls.

        :param credentials: by the names of the adapter's fields; the secret ones too
        """
        self.encrypted_balance_access = (
            encrypt(_ACCESS_PURPOSE, json.dumps(dict(credentials))) if credentials else ""
        )

    def get_balance_access(self) -> dict[str, str]:
        if not self.encrypted_balance_access:
            return {}
        credentials: dict[str, str] = json.loads(decrypt(_ACCESS_PURPOSE, self.encrypted_balance_access))
        return credentials


class ChannelTotals(models.Model):
    """A channel's counters, apart from its settings so that calls and edits do not meet."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, primary_key=True, related_name="totals")
    used_quota = models.BigIntegerField(default=0)
    upstream_cost = models.BigIntegerField(default=0)
    request_count = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"totals of channel {self.pk}"
