"""Jobs about people and their keys."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from accounts.services import idempotency

KEPT = timedelta(hours=48)
_PORTION = 10_000


@shared_task(name="accounts.forget_idempotency_keys")  # type: ignore[untyped-decorator]
def forget_idempotency_keys() -> None:
    """Delete the answers that nobody will ask for again."""
    before = timezone.now() - KEPT
    while idempotency.forget_idempotency_records(before=before, limit=_PORTION) == _PORTION:
        pass
