"""Jobs on a schedule (``CELERY_BEAT_SCHEDULE``); each is safe to run twice."""

from datetime import timedelta

import structlog
from celery import shared_task
from django.utils import timezone

from billing.services import audit, holds, polling, webhooks
from billing.services.alerts import delivering, evaluating, outbox
from oneapi_admin.lib.jobs import enqueue

logger = structlog.get_logger(__name__)

HOLDS_AT_ONCE = 1000
DELIVERIES_KEPT = timedelta(days=30)
ALERT_DELIVERIES_KEPT = timedelta(days=90)
_DELIVERIES_AT_ONCE = 1000
_AUDIT_SECONDS = 6 * 3600


@shared_task(name="billing.reconcile_channels")  # type: ignore[untyped-decorator]
def reconcile_channels() -> None:
    """Ask the providers of channels that are due, and compare what they took with what was metered."""
    polling.ask_due(at=timezone.now())


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


# --- Alerts -----------------------------------------------------------------------------------


@shared_task(name="billing.evaluate_alerts")  # type: ignore[untyped-decorator]
def evaluate_alerts() -> None:
    """Compare what moved with the thresholds of rules."""
    evaluating.evaluate(at=timezone.now())


@shared_task(name=outbox.DELIVER)  # type: ignore[untyped-decorator]
def deliver_alerts() -> None:
    """Send what is due; where there was something, look again after the other jobs had their turn."""
    if delivering.deliver_due(at=timezone.now()):
        enqueue(outbox.DELIVER)


@shared_task(name="billing.forget_alert_deliveries")  # type: ignore[untyped-decorator]
def forget_alert_deliveries() -> None:
    """Delete what people were told long ago; the alerts themselves stay."""
    before = timezone.now() - ALERT_DELIVERIES_KEPT
    while delivering.forget_deliveries(before=before, limit=_DELIVERIES_AT_ONCE) == _DELIVERIES_AT_ONCE:
        pass
