"""Jobs about people, their keys and the audit log."""

from datetime import timedelta

import structlog
from celery import shared_task
from django.utils import timezone

from accounts.services import audit_check, idempotency

logger = structlog.get_logger(__name__)

KEPT = timedelta(hours=48)
_PORTION = 10_000


@shared_task(name="accounts.forget_idempotency_keys")  # type: ignore[untyped-decorator]
def forget_idempotency_keys() -> None:
    """Delete the answers that nobody will ask for again."""
    before = timezone.now() - KEPT
    while idempotency.forget_idempotency_records(before=before, limit=_PORTION) == _PORTION:
        pass


@shared_task(name="accounts.verify_audit_log")  # type: ignore[untyped-decorator]
def verify_audit_log() -> None:
    """Prove the audit log every night; the logs, which are kept elsewhere, then know its last hash."""
    verdict = audit_check.verify()
    audit_check.record_check(verdict=verdict, finished_at=timezone.now())
    facts = {"checked": verdict.checked, "last_hash": verdict.last_hash}
    if verdict.flaw is None:
        logger.info("accounts.audit_log_verified", **facts)
    else:
        logger.error("accounts.audit_log_broken", audit_event=verdict.event_id, flaw=verdict.flaw, **facts)
