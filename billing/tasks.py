"""Jobs on a schedule (``CELERY_BEAT_SCHEDULE``); each is safe to run twice."""

from datetime import timedelta

import structlog
from celery import shared_task
from django.utils import timezone

from billing.models import Channel, ChannelStatus
from billing.services import audit, balances, holds, webhooks
from oneapi_admin.lib.jobs import enqueue

logger = structlog.get_logger(__name__)

HOLDS_AT_ONCE = 1000
DELIVERIES_KEPT = timedelta(days=30)
_DELIVERIES_AT_ONCE = 1000
_AUDIT_SECONDS = 6 * 3600


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


@shared_task(  # type: ignore[untyped-decorator]
    name="billing.audit_ledger",
    time_limit=_AUDIT_SECONDS,
    acks_late=False,  # one that takes longer than the broker waits for would be handed out again meanwhile
)
def audit_ledger(*, is_full: bool = False) -> None:
    """Prove the ledger, every night what is new and every week all of it, for the dashboard."""
    run = audit.run_audit(is_full=is_full, started_at=timezone.now())
    for check in run.checks:
        if check["broken"]:
            logger.error(
                "billing.ledger_drift",
                invariant=check["code"],
                broken=check["broken"],
                ids=check["broken_ids"],
            )
    logger.info(
        "billing.ledger_audited",
        kind=run.kind,
        is_clean=run.is_clean,
        seconds=run.seconds,
        calls_read=run.calls_read,
        entries_read=run.entries_read,
    )


@shared_task(name=webhooks.DELIVER)  # type: ignore[untyped-decorator]
def deliver_webhooks() -> None:
    """Send what is due; where there was something, look again after the other jobs had their turn."""
    if webhooks.deliver_due(at=timezone.now()):
        enqueue(webhooks.DELIVER)


@shared_task(name="billing.forget_deliveries")  # type: ignore[untyped-decorator]
def forget_deliveries() -> None:
    """Delete what webhooks were told long ago."""
    before = timezone.now() - DELIVERIES_KEPT
    while webhooks.forget_deliveries(before=before, limit=_DELIVERIES_AT_ONCE) == _DELIVERIES_AT_ONCE:
        pass
