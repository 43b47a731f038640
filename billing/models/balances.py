"""What providers said their accounts hold, and when they are asked next."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.channels import Channel


class BalanceKind(models.TextChoices):
    """Three different things, which are never added up."""

    BALANCE = "balance", _("Prepaid balance")
    KEY_BUDGET = "key_budget", _("Budget of the key")
    SPEND = "spend", _("Spend of a period")


class BalanceSnapshot(models.Model):
    """What a provider said an account holds. Append-only; a null is "unknown", which is never 0."""

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="balance_snapshots", db_index=False
    )
    kind = models.CharField(max_length=11, choices=BalanceKind)
    source = models.CharField(max_length=32, blank=True)
    """The code of the adapter that read it."""
    currency = models.CharField(max_length=3, default="USD")
    remaining = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    granted = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    topped_up = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    limit = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    used = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    period = models.CharField(max_length=5, blank=True)
    """What ``used`` and ``limit`` are counted over: day, week, month, all."""
    resets_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    is_unlimited = models.BooleanField(default=False)
    is_usable = models.BooleanField(null=True)
    """What the provider says of whether calls are served."""
    is_weak = models.BooleanField(default=False)
    """Known to differ from the provider's console: no reason to disable a channel."""
    is_estimated = models.BooleanField(default=False)
    """Nobody told it: an amount that was entered by hand, less what was metered since."""
    metered = models.BigIntegerField(default=0)
    """What all our calls had cost by our price book when it was asked, in billionths of a US dollar."""
    raw = models.TextField(blank=True)
    """The provider's answers, without secrets; of several snapshots at once, with the first."""
    created_at = models.DateTimeField()
    """When the provider was asked, which is also when ``metered`` was read."""

    class Meta:
        indexes: ClassVar = [models.Index(fields=["channel", "-id"], name="balance_snapshot_by_channel")]

    def __str__(self) -> str:
        return f"{self.left} {self.currency}"

    @property
    def left(self) -> Decimal | None:
        """What may still be spent; None when the provider did not tell, or there is no limit."""
        if self.remaining is not None or self.limit is None or self.used is None:
            return self.remaining
        return self.limit - self.used

    def is_over(self, at: datetime) -> bool:
        """Whether the period that it tells of has ended: it says nothing of the next one."""
        return self.resets_at is not None and self.resets_at <= at

    @property
    def has_money(self) -> bool | None:
        """None when the provider did not tell."""
        if self.is_unlimited or self.is_usable:
            return True  # postpaid accounts owe, and some have credits beside the balance
        if self.is_usable is False and self.left is not None:
            return False
        return None if self.left is None else self.left > 0


class BalancePoll(models.Model):
    """When a channel's provider is asked next, by whom it is being asked, and how it went."""

    channel = models.OneToOneField(
        Channel, on_delete=models.CASCADE, primary_key=True, related_name="balance_poll"
    )
    due_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    """While somebody asks; they may be dead when this is over."""
    asked_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    """When it was last told anything."""
    failures = models.PositiveSmallIntegerField(default=0)
    """In a row."""
    error = models.CharField(max_length=500, blank=True)
    """Of the last time; empty when it went well."""
    is_refused = models.BooleanField(default=False)
    """The provider said no, and will again until an operator changes something."""
    told = models.JSONField(default=list)
    """The primary keys of the snapshots of the last answer: what is known now. Older ones are history."""
    empty_since = models.DateTimeField(null=True)
    """The first of the readings in a row that found nothing left."""

    class Meta:
        indexes: ClassVar = [models.Index(fields=["due_at"], name="balance_poll_due")]

    def __str__(self) -> str:
        return f"balance of channel {self.pk}"
