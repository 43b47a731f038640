"""What calls used: one row a call, and two sums of those rows."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.ledger import LedgerEntry, QuotaAccount


class CallStatus(models.TextChoices):
    OK = "ok", _("Completed")
    DISCONNECTED = "disconnected", _("Caller left")
    INTERRUPTED = "interrupted", _("Cut off upstream")
    FAILED = "failed", _("Failed upstream")


class UsageSource(models.TextChoices):
    UPSTREAM = "upstream", _("Reported by the provider")
    ESTIMATED = "estimated", _("Estimated by us")
    NONE = "none", _("Nothing served")


class UsageRecord(models.Model):
    """One call. Names are kept as they were, so that deleting a token or a channel changes no history."""

    request_id = models.CharField(max_length=64)
    account = models.ForeignKey(
        QuotaAccount,
        on_delete=models.PROTECT,
        related_name="usage_records",
        db_index=False,
        db_constraint=False,
    )
    """Written by who has the account's lock; the database need not look for it at every call."""
    username = models.CharField(max_length=64)
    token_id = models.BigIntegerField()
    token_name = models.CharField(max_length=64)
    channel_id = models.BigIntegerField()
    channel_name = models.CharField(max_length=64)
    model = models.CharField(max_length=128)
    """The model the caller asked for."""
    served_model = models.CharField(max_length=128)
    """The model the channel was asked for."""
    prompt_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    quota = models.BigIntegerField()
    estimate = models.BigIntegerField()
    upstream_cost = models.BigIntegerField(default=0)
    """What the provider takes for it by our price book, in billionths of a US dollar."""
    price_version = models.CharField(max_length=64)
    group_multiplier = models.DecimalField(max_digits=12, decimal_places=6)
    usage_source = models.CharField(max_length=9, choices=UsageSource)
    status = models.CharField(max_length=12, choices=CallStatus)
    http_status = models.PositiveSmallIntegerField()
    error_code = models.CharField(max_length=64, blank=True)
    is_stream = models.BooleanField()
    first_byte_ms = models.PositiveIntegerField(default=0)
    duration_ms = models.PositiveIntegerField(default=0)
    ledger_entry = models.ForeignKey(
        LedgerEntry,
        on_delete=models.PROTECT,
        null=True,
        related_name="usage_records",
        db_index=True,
        db_constraint=False,
    )
    """Written in the same transaction, after its entry, which can never be deleted."""
    created_at = models.DateTimeField()

    refunded_quota = 0
    """What was given back of the charge; known to what ``billing.queries.usage.with_refunds`` has read."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request_id"], name="usage_record_request_id_unique"),
            models.CheckConstraint(condition=models.Q(quota__gte=0), name="usage_record_quota_not_negative"),
            models.CheckConstraint(
                condition=models.Q(quota=0) | models.Q(ledger_entry__isnull=False),
                name="usage_record_charge_has_entry",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="usage_record_by_account"),
            models.Index(fields=["channel_id", "-id"], name="usage_record_by_channel"),
            models.Index(fields=["created_at"], name="usage_record_by_time"),
        ]

    def __str__(self) -> str:
        return self.request_id

    @property
    def is_overrun(self) -> bool:
        """Whether the provider reported more than the call had reserved."""
        return self.quota > self.estimate


class UsageDaily(models.Model):
    """Sums by UTC day, account, token and model."""

    day = models.DateField()
    account = models.ForeignKey(QuotaAccount, on_delete=models.PROTECT, related_name="+", db_index=False)
    token_id = models.BigIntegerField()
    model = models.CharField(max_length=128)
    request_count = models.BigIntegerField(default=0)
    failure_count = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    quota = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "day", "token_id", "model"], name="usage_daily_unique"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["day"], name="usage_daily_by_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"


class UsageHourly(models.Model):
    """Sums by UTC hour, channel and model, over everyone."""

    hour = models.DateTimeField()
    channel_id = models.BigIntegerField()
    model = models.CharField(max_length=128)
    request_count = models.BigIntegerField(default=0)
    failure_count = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    quota = models.BigIntegerField(default=0)
    upstream_cost = models.BigIntegerField(default=0)
    duration_ms = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hour", "channel_id", "model"], name="usage_hourly_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h {self.model}"
