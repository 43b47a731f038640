"""Results of verifying the audit log."""

from django.db import models


class AuditLogCheck(models.Model):
    """How far the log was proved, as of the end of a verification."""

    finished_at = models.DateTimeField()
    checked = models.BigIntegerField()
    """Events in order, from the first one."""
    last_hash = models.CharField(max_length=64, blank=True)
    """Of the last of them."""
    flaw = models.CharField(max_length=16, blank=True)
    """What is wrong with the first event that is not in order; empty when there is none."""
    event_id = models.BigIntegerField(null=True)

    def __str__(self) -> str:
        return f"audit log at {self.finished_at:%Y-%m-%d %H:%M}"

    @property
    def is_intact(self) -> bool:
        return not self.flaw
