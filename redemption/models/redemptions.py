"""Codes that became quota."""

from typing import ClassVar

from django.conf import settings
from django.db import models

from billing.models import LedgerEntry
from redemption.models.batches import CodeBatch
from redemption.models.codes import RedemptionCode


class Redemption(models.Model):
    """One use of a code, and the entry that it made. Whether it was taken back, the ledger knows.

    Append-only: the database refuses to change or delete it.
    """

    code = models.ForeignKey(
        RedemptionCode,
        on_delete=models.PROTECT,
        related_name="redemptions",
        db_index=False,
        db_constraint=False,
    )
    number = models.PositiveIntegerField()
    """Which use of the code: 1, 2, 3 …"""
    batch = models.ForeignKey(
        CodeBatch, on_delete=models.PROTECT, related_name="redemptions", db_index=False, db_constraint=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="redemptions",
        db_index=False,
        db_constraint=False,
    )
    entry = models.ForeignKey(
        LedgerEntry, on_delete=models.PROTECT, related_name="redemptions", db_index=False, db_constraint=False
    )
    """This and the keys above are of rows that the same transaction has read or written, and that stay."""
    created_at = models.DateTimeField()

    reversal_id: int | None
    """The entry that took it back; known, like the next, to ``redemption.queries.redemptions``."""
    reversed_quota: int | None

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["code", "number"], name="redemption_of_a_code_once"),
            models.UniqueConstraint(fields=["entry"], name="redemption_has_its_entry"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["batch", "created_at", "id"], name="redemption_by_batch"),
            models.Index(fields=["user", "created_at", "id"], name="redemption_by_user"),
            models.Index(fields=["user", "batch"], name="redemption_by_user_and_batch"),
            models.Index(fields=["created_at", "id"], name="redemption_by_time"),
        ]

    def __str__(self) -> str:
        return f"redemption {self.number} of code {self.code_id}"

    @property
    def shortfall(self) -> int:
        """What was gone already when it was taken back, in quota units."""
        return 0 if self.reversed_quota is None else self.batch.quota - self.reversed_quota
