"""Codes that become quota."""

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User


class CodeStatus(models.TextChoices):
    ENABLED = "enabled", _("Unused")
    DISABLED = "disabled", _("Disabled")
    USED = "used", _("Used")


class CodeBatch(models.Model):
    """Codes made together, all of one amount."""

    name = models.CharField(_("name"), max_length=64)
    quota = models.BigIntegerField(_("amount of each code"))
    count = models.PositiveIntegerField(_("number of codes"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    enabled_count: int
    disabled_count: int
    used_count: int
    """How many codes are in which state; only on batches from ``redemption.queries``."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(quota__gt=0), name="code_batch_quota_positive"),
            models.CheckConstraint(condition=models.Q(count__gt=0), name="code_batch_count_positive"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def used_quota(self) -> int:
        """Not the database's to multiply: it may pass what an integer of its own can have."""
        return self.quota * self.used_count

    @property
    def unused_quota(self) -> int:
        return self.quota * self.enabled_count


class RedemptionCodeQuerySet(models.QuerySet["RedemptionCode"]):
    def claim(self, *, digest: str, user: User, at: datetime) -> "RedemptionCode | None":
        """Mark an unused code used by ``user``; None if it is not there to be claimed.

        The condition on the status is the guard: of any number of racers, the database lets one through.
        """
        claimed = self.filter(digest=digest, status=CodeStatus.ENABLED).update(
            status=CodeStatus.USED, redeemed_by=user, redeemed_at=at
        )
        return self.get(digest=digest) if claimed else None


class RedemptionCode(models.Model):
    """A voucher, kept as a keyed hash and its last four characters."""

    batch = models.ForeignKey(CodeBatch, on_delete=models.PROTECT, related_name="codes", db_index=False)
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=4)
    quota = models.BigIntegerField()
    status = models.CharField(max_length=8, choices=CodeStatus, default=CodeStatus.ENABLED)
    redeemed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    redeemed_at = models.DateTimeField(null=True)

    objects = RedemptionCodeQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(quota__gt=0), name="redemption_code_quota_positive"),
            models.CheckConstraint(
                condition=models.Q(
                    status=CodeStatus.USED, redeemed_by__isnull=False, redeemed_at__isnull=False
                )
                | (
                    ~models.Q(status=CodeStatus.USED)
                    & models.Q(redeemed_by__isnull=True, redeemed_at__isnull=True)
                ),
                name="redemption_code_used_has_redeemer",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["batch", "-id"], name="redemption_code_by_batch"),
        ]

    def __str__(self) -> str:
        return f"…{self.hint}"
