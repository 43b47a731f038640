"""Results of the ledger's audit."""

from django.db import models


class AuditRun(models.Model):
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    is_clean = models.BooleanField()
    checks = models.JSONField()
    """A list of objects with ``code``, ``checked``, ``broken`` and ``broken_ids``."""

    def __str__(self) -> str:
        return f"audit of {self.started_at:%Y-%m-%d %H:%M}"
