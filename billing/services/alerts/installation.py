"""Values of the installation as a whole."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from billing.models import AlertDelivery, AlertRule, AlertSubject, AuditRun
from billing.queries.backlog import LATE, backlog
from billing.services.alerts.readings import Look, Reading


def audit_failed(_look: Look, _rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """1 if the newest audit of the ledger found anything."""
    run = AuditRun.objects.order_by("-pk").first()
    if run is not None:
        broken = [check["code"] for check in run.checks if check["broken"]]
        yield of_installation(Decimal(int(not run.is_clean)), invariants=", ".join(broken))


def overdue(look: Look, _rules: Sequence[AlertRule]) -> Iterator[Reading]:
    """How many holds and deliveries somebody should have dealt with."""
    waiting = backlog(at=look.at)
    alerts = AlertDelivery.objects.filter(next_attempt_at__lt=look.at - LATE).count()
    yield of_installation(Decimal(waiting.overdue_holds + waiting.overdue_deliveries + alerts))


def of_installation(value: Decimal, *, period: str = "", **facts: str) -> Reading:
    return Reading(
        subject_type=AlertSubject.SITE,
        subject_id=0,
        subject_name="",
        value=value,
        period=period,
        facts=facts,
    )
