"""The answers that are kept for requests with an ``Idempotency-Key``."""

from datetime import datetime

from accounts.models import IdempotencyRecord


def forget_idempotency_records(*, before: datetime, limit: int = 10_000) -> int:
    """Delete old answers; the ledger remembers the keys of what moved quota for ever.

    :returns: how many; call again while it is ``limit``
    """
    old = IdempotencyRecord.objects.filter(created_at__lt=before).order_by("created_at").values("pk")[:limit]
    deleted, _by_model = IdempotencyRecord.objects.filter(
        pk__in=list(old.values_list("pk", flat=True))
    ).delete()
    return deleted
