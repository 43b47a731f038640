"""Results of the ledger's audit, and what it has proved so far and need not read again."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditKind(models.TextChoices):
    FULL = "full", _("Full")
    INCREMENTAL = "incremental", _("Incremental")


class AuditRun(models.Model):
    kind = models.CharField(max_length=11, choices=AuditKind, default=AuditKind.FULL)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    is_clean = models.BooleanField()
    checks = models.JSONField()
    """A list of objects with ``code``, ``checked``, ``broken`` and ``broken_ids``."""
    calls_read = models.BigIntegerField(default=0)
    calls_covered = models.BigIntegerField(default=0)
    """Those that it read and those that the checkpoint under it stands for."""
    entries_read = models.BigIntegerField(default=0)
    entries_covered = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"audit of {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at).total_seconds()


class AuditCheckpoint(models.Model):
    """What clean audits read once: the sums of all calls and entries up to two ids, on top of its parent's.

    Never changed. It counts only with a seal that fits it and what it is built on.
    """

    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, db_index=False)
    """None where a full audit began anew."""
    last_call_id = models.BigIntegerField()
    last_entry_id = models.BigIntegerField()
    calls = models.BigIntegerField()
    entries = models.BigIntegerField()
    """How many were read since the parent."""
    created_at = models.DateTimeField()
    seal = models.CharField(max_length=64, blank=True)
    """A keyed hash of it, its sums and its parent's seal; empty while it is being written."""

    def __str__(self) -> str:
        return f"checkpoint of {self.created_at:%Y-%m-%d %H:%M}"


class CheckpointSums(models.Model):
    """Rows of a checkpoint; no foreign key that the database would check for each of a million rows."""

    checkpoint = models.ForeignKey(
        AuditCheckpoint, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"sums of checkpoint {self.checkpoint_id}"


class CheckpointAccount(CheckpointSums):
    """One account's entries since the parent, and where its chain ends."""

    account_id = models.BigIntegerField()
    entries = models.BigIntegerField()
    amount = models.BigIntegerField()
    last_entry_id = models.BigIntegerField()
    balance_after = models.BigIntegerField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["checkpoint", "id"], name="checkpoint_account_rows")]


class CheckpointCalls(CheckpointSums):
    """The calls since the parent, summed by their model and what else the rollup of the same keys knows."""

    model = models.CharField(max_length=128)
    request_count = models.BigIntegerField()
    failure_count = models.BigIntegerField()
    prompt_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    completion_tokens = models.BigIntegerField()
    quota = models.BigIntegerField()

    class Meta:
        abstract = True


class CheckpointDay(CheckpointCalls):
    """As ``UsageDaily`` sums them."""

    day = models.DateField()
    account_id = models.BigIntegerField()
    token_id = models.BigIntegerField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["checkpoint", "id"], name="checkpoint_day_rows")]


class CheckpointHour(CheckpointCalls):
    """As ``UsageHourly`` sums them."""

    hour = models.DateTimeField()
    channel_id = models.BigIntegerField()
    upstream_cost = models.BigIntegerField()
    duration_ms = models.BigIntegerField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["checkpoint", "id"], name="checkpoint_hour_rows")]
