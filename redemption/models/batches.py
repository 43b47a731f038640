"""Codes that are made together, and what becomes of them."""

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.validators import validate_group


class BatchStatus(models.TextChoices):
    CREATING = "creating", _("Being made")
    READY = "ready", _("Ready")
    DISABLED = "disabled", _("Disabled")
    REVOKED = "revoked", _("Revoked")
    CANCELLED = "cancelled", _("Cancelled")
    FAILED = "failed", _("Failed")


class BatchState(models.TextChoices):
    """What a batch is at a moment: its status, and where that is READY what the time makes of it."""

    CREATING = "creating", _("Being made")
    SCHEDULED = "scheduled", _("Not yet valid")
    ACTIVE = "active", _("Valid")
    EXPIRED = "expired", _("Expired")
    DISABLED = "disabled", _("Disabled")
    REVOKED = "revoked", _("Revoked")
    CANCELLED = "cancelled", _("Cancelled")
    FAILED = "failed", _("Failed")


def state_of(
    status: str, *, valid_from: datetime | None, valid_until: datetime | None, at: datetime
) -> BatchState:
    """What status and time make of a batch."""
    if status != BatchStatus.READY:
        return BatchState(status)
    if valid_from is not None and at < valid_from:
        return BatchState.SCHEDULED
    if valid_until is not None and at >= valid_until:
        return BatchState.EXPIRED
    return BatchState.ACTIVE


class CodeBatchQuerySet(models.QuerySet["CodeBatch"]):
    def in_state(self, state: BatchState, *, at: datetime) -> "CodeBatchQuerySet":
        """The batches that are in a state at a moment."""
        ready = self.filter(status=BatchStatus.READY)
        match state:
            case BatchState.SCHEDULED:
                return ready.filter(valid_from__gt=at)
            case BatchState.EXPIRED:
                return ready.filter(valid_until__lte=at)
            case BatchState.ACTIVE:
                return ready.exclude(valid_from__gt=at).exclude(valid_until__lte=at)
        return self.filter(status=state.value)


class CodeBatch(models.Model):
    """Codes made together, alike in all but their symbols; what they are worth and for whom never changes."""

    name = models.CharField(_("name"), max_length=64)
    note = models.CharField(_("note"), max_length=255, blank=True)
    tag = models.CharField(_("tag"), max_length=32, blank=True)
    quota = models.BigIntegerField(_("amount of each code"))
    count = models.PositiveIntegerField(_("number of codes"))
    valid_from = models.DateTimeField(_("valid from"), null=True, blank=True)
    valid_until = models.DateTimeField(_("valid until"), null=True, blank=True)
    uses_per_code = models.PositiveIntegerField(_("uses of each code"), default=1)
    uses_per_user = models.PositiveIntegerField(_("uses of a code by one person"), default=1)
    is_once_per_user = models.BooleanField(_("one code of the batch a person"), default=False)
    group = models.CharField(_("only for the group"), max_length=32, blank=True, validators=[validate_group])
    status = models.CharField(max_length=9, choices=BatchStatus, default=BatchStatus.CREATING)
    failure = models.CharField(max_length=255, blank=True)
    """Why making the codes failed."""
    disabled_count = models.PositiveIntegerField(default=0)
    """How many of the codes are disabled one by one."""
    disabled_uses = models.BigIntegerField(default=0)
    """How often those could have been redeemed still."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    """None for the command line."""
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True)
    """When all codes were there."""
    first_code_id = models.BigIntegerField(null=True, blank=True)
    last_code_id = models.BigIntegerField(null=True, blank=True)
    """Its codes are among these; so are some of another batch that was made at the same time."""
    sealed_until = models.DateTimeField(null=True, blank=True)
    """Until when the codes can be read in clear; None once nobody can any more."""
    downloaded_at = models.DateTimeField(null=True, blank=True)
    """When somebody first read them."""
    key = models.UUIDField(null=True, editable=False)
    """Minted with the form that ordered it: sending the form twice makes one batch."""

    objects = CodeBatchQuerySet.as_manager()

    redeemed_count: int
    """How often its codes were redeemed; this and the next are known to ``redemption.queries.batches``."""
    used_count: int
    """How many of its codes are used up."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(quota__gt=0), name="code_batch_quota_positive"),
            models.CheckConstraint(condition=models.Q(count__gt=0), name="code_batch_count_positive"),
            models.CheckConstraint(
                condition=models.Q(uses_per_user__gt=0, uses_per_code__gte=models.F("uses_per_user")),
                name="code_batch_uses_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(valid_from__isnull=True)
                | models.Q(valid_until__isnull=True)
                | models.Q(valid_until__gt=models.F("valid_from")),
                name="code_batch_validity_in_order",
            ),
            models.UniqueConstraint(fields=["key"], name="code_batch_key_unique"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["status", "-id"], name="code_batch_by_status"),
            models.Index(fields=["tag", "-id"], name="code_batch_by_tag"),
            models.Index(
                fields=["sealed_until"],
                name="code_batch_by_seal",
                condition=models.Q(sealed_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def state(self, at: datetime) -> BatchState:
        """What it is at a moment."""
        return state_of(self.status, valid_from=self.valid_from, valid_until=self.valid_until, at=at)

    @property
    def all_uses(self) -> int:
        """How often its codes can be redeemed in all, from the first to the last."""
        return self.count * self.uses_per_code

    @property
    def all_quota(self) -> int:
        return self.quota * self.all_uses

    @property
    def enabled_count(self) -> int:
        """How many of its codes are neither used up nor disabled."""
        return self.count - self.used_count - self.disabled_count if self.ready_at else 0

    @property
    def unused_uses(self) -> int:
        """How often its codes can still be redeemed, were it not for the batch's own state."""
        return self.all_uses - self.redeemed_count - self.disabled_uses if self.ready_at else 0

    @property
    def redeemed_quota(self) -> int:
        """What was redeemed; it may pass what the database's integers can have, so it is not for SQL."""
        return self.quota * self.redeemed_count

    @property
    def unused_quota(self) -> int:
        return self.quota * self.unused_uses


class SealedCodes(models.Model):
    """A part of a batch's codes, encrypted, until somebody says that they have them or their time is over."""

    batch = models.ForeignKey(CodeBatch, on_delete=models.CASCADE, related_name="sealed", db_index=False)
    number = models.PositiveIntegerField()
    """0, 1, 2 …: the order in which the codes are listed."""
    content = models.BinaryField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "number"], name="sealed_codes_in_order"),
        ]

    def __str__(self) -> str:
        return f"codes of batch {self.batch_id}, part {self.number}"


class BatchDay(models.Model):
    """What was redeemed of a batch on a day (UTC): the sums that lists and charts read."""

    SHARDS = 16

    batch = models.ForeignKey(
        CodeBatch, on_delete=models.PROTECT, related_name="days", db_index=False, db_constraint=False
    )
    """Written by who has read it in the same transaction; batches are never deleted."""
    day = models.DateField()
    shard = models.PositiveSmallIntegerField()
    """A day has several rows, so that not all who redeem a batch's codes at the same time meet on one."""
    redeemed_count = models.BigIntegerField(default=0)
    used_count = models.BigIntegerField(default=0)
    """How many of its codes were used up."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["batch", "day", "shard"], name="batch_day_unique"),
        ]

    def __str__(self) -> str:
        return f"batch {self.batch_id} on {self.day}"
