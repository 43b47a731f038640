"""Jobs on a schedule (``CELERY_BEAT_SCHEDULE``); each is safe to run twice."""

import structlog
from celery import shared_task
from django.utils import timezone

from billing.models import Channel, ChannelStatus
from billing.services import audit, balances, holds

logger = structlog.get_logger(__name__)

HOLDS_AT_ONCE = 1000


@shared_task(name="billing.refresh_balances")  # type: ignore[untyped-decorator]
def refresh_balances() -> None:
    """Ask the provider of every enabled channel what is left."""
    for channel in Channel.objects.filter(status=ChannelStatus.ENABLED).order_by("pk"):
        balances.refresh_balance(channel=channel, at=timezone.now())


@shared_task(name="billing.expire_holds")  # type: ignore[untyped-decorator]
def expire_holds() -> None:
    """Give back what the calls of killed processes still hold."""
    while holds.expire(at=timezone.now(), limit=HOLDS_AT_ONCE) == HOLDS_AT_ONCE:
        pass


@shared_task(name="billing.audit_ledger")  # type: ignore[untyped-decorator]
def audit_ledger() -> None:
    """Prove the ledger every night and keep the result for the dashboard."""
    started_at = timezone.now()
    checks = audit.audit_ledger()
    run = audit.record_audit(started_at=started_at, finished_at=timezone.now(), checks=checks)
    for check in checks:
        if check.broken:
            logger.error(
                "billing.ledger_drift", invariant=check.code, broken=check.broken, ids=check.broken_ids
            )
    logger.info("billing.ledger_audited", is_clean=run.is_clean)
