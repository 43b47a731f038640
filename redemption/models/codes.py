"""The codes themselves."""

from collections.abc import Sequence
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from redemption.models.batches import CodeBatch


class CodeStatus(models.TextChoices):
    ENABLED = "enabled", _("Unused")
    DISABLED = "disabled", _("Disabled")
    USED = "used", _("Used")


class RedemptionCodeQuerySet(models.QuerySet["RedemptionCode"]):
    def found_by(self, digests: Sequence[bytes]) -> "RedemptionCodeQuerySet":
        """The code of which these are the hashes, under one secret or another."""
        return self.filter(digest__in=digests)


class RedemptionCode(models.Model):
    """A voucher, kept as a keyed hash and its last four characters. It is never deleted.

    Millions of them are copied into the table at once: what all codes of a batch have in common stands in
    the batch, and the rest has defaults that the database knows.
    """

    batch = models.ForeignKey(
        CodeBatch, on_delete=models.PROTECT, related_name="codes", db_index=False, db_constraint=False
    )
    """Batches are never deleted; the database need not look for this one a million times."""
    digest = models.BinaryField()
    hint = models.CharField(max_length=4)
    status = models.CharField(
        max_length=8, choices=CodeStatus, default=CodeStatus.ENABLED, db_default=CodeStatus.ENABLED
    )
    used_count = models.PositiveIntegerField(default=0, db_default=0)
    """How often it was redeemed."""
    redeemed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    """By whom last; all its redemptions are rows of their own."""
    redeemed_at = models.DateTimeField(null=True)

    objects = RedemptionCodeQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["digest"], name="redemption_code_digest_unique"),
            models.CheckConstraint(
                condition=models.Q(used_count=0, redeemed_by__isnull=True, redeemed_at__isnull=True)
                | models.Q(used_count__gt=0, redeemed_by__isnull=False, redeemed_at__isnull=False),
                name="redemption_code_used_has_redeemer",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=CodeStatus.USED) | models.Q(used_count__gt=0),
                name="redemption_code_used_was_redeemed",
            ),
        ]
        indexes: ClassVar = [
            # Every index makes a million codes slower to make. The codes of a batch are a range of primary
            # keys; of those, each index by status has some, at its end. That of hints grows with redemptions.
            *(
                models.Index(
                    fields=["id"], name=f"redemption_code_{status}", condition=models.Q(status=status)
                )
                for status in CodeStatus.values
            ),
            models.Index(
                fields=["hint", "-id"],
                name="redemption_code_by_hint",
                condition=models.Q(redeemed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"…{self.hint}"
