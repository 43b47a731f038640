"""Writing alerts down, each once, with everything that tells of it: one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

import structlog
from django.db import transaction

from accounts.models import Role, User
from billing.models import (
    Alert,
    AlertAudience,
    AlertDelivery,
    AlertEvent,
    AlertKind,
    AlertRule,
    AlertSeverity,
    WebhookEvent,
)
from billing.services import webhooks
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.outbox import deliver_after_commit
from billing.services.alerts.readings import Reading
from billing.services.alerts.schedule import due_at

logger = structlog.get_logger(__name__)

_AT_ONCE: Final = 200
"""Changes in one transaction: on SQLite everybody else waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """An alert that is to be raised, unless somebody else has raised its episode."""

    rule: AlertRule
    reading: Reading
    threshold: Decimal
    value: Decimal
    episode: int

    def alert(self, at: datetime) -> Alert:
        is_critical = self.threshold in map(Decimal, self.rule.critical_thresholds)
        return Alert(
            rule=self.rule,
            subject_type=self.reading.subject_type,
            subject_id=self.reading.subject_id,
            subject_name=self.reading.subject_name[:128],
            user_id=self.reading.user_id,
            owner_id=self.rule.owner_id,
            threshold=self.threshold,
            episode=self.episode,
            period=self.reading.period,
            severity=AlertSeverity.CRITICAL if is_critical else AlertSeverity.WARNING,
            value=self.value,
            facts=dict(self.reading.facts),
            raised_at=at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An alert that is over."""

    alert_id: int
    value: Decimal


Change = Begin | End


def write(changes: Iterable[Change], *, at: datetime) -> int:
    """Write changes down in portions.

    :returns: how many alerts were raised by this call and by nobody else
    """
    raised, waiting = 0, iter(changes)
    while portion := list(islice(waiting, _AT_ONCE)):
        with transaction.atomic():
            begins = _still_meant([change for change in portion if isinstance(change, Begin)])
            _end({change.alert_id: change.value for change in portion if isinstance(change, End)}, at)
            raised += _begin(begins, at)
    return raised


def _still_meant(begins: Sequence[Begin]) -> list[Begin]:
    """Those of rules that nobody changed, disabled or deleted since they were read, nor will until this is
    committed: whoever does so afterwards ends what is raised here."""
    rules = AlertRule.objects.filter(pk__in={begin.rule.pk for begin in begins}, is_enabled=True)
    locked = rules.order_by("pk").select_for_update(of=("self",), no_key=True)
    meant = {rule.pk: rule.changed_at for rule in locked} if begins else {}
    return [begin for begin in begins if meant.get(begin.rule.pk) == begin.rule.changed_at]


def _end(values: dict[int, Decimal], at: datetime) -> None:
    if not values:
        return
    found = Alert.objects.filter(pk__in=values, resolved_at__isnull=True).order_by("pk")
    over = list(found.select_for_update(of=("self",)).select_related("rule"))
    for alert in over:
        alert.resolved_at, alert.resolved_value = at, values[alert.pk]
    Alert.objects.bulk_update(over, ["resolved_at", "resolved_value"])
    _tell([alert for alert in over if alert.rule.tells_recovery], AlertEvent.RESOLVED, at)
    _tell_webhooks(over, WebhookEvent.ALERT_RESOLVED, at)
    for alert in over:
        logger.info("billing.alert_resolved", alert_id=alert.pk, rule_id=alert.rule_id)


def _begin(begins: Sequence[Begin], at: datetime) -> int:
    """Raise alerts in one order, whoever does so: who meets somebody on the way waits, and then leaves it.

    What the database took of them is recognised by the keys, which are new.
    """
    if not begins:
        return 0
    alerts = [begin.alert(at) for begin in begins]
    alerts.sort(key=lambda one: (one.rule_id, one.subject_type, one.subject_id, one.threshold, one.episode))
    Alert.objects.bulk_create(alerts, ignore_conflicts=True)
    mine = {alert.key: alert.rule for alert in alerts}
    found = Alert.objects.filter(
        rule__in={alert.rule_id for alert in alerts},
        subject_type__in={alert.subject_type for alert in alerts},
        subject_id__in={alert.subject_id for alert in alerts},
        key__in=list(mine),
    )
    raised = list(found.order_by("pk"))
    for alert in raised:
        alert.rule = mine[alert.key]
        logger.warning(
            "billing.alert_raised",
            alert_id=alert.pk,
            rule_id=alert.rule_id,
            kind=alert.rule.kind,
            subject_type=alert.subject_type,
            subject_id=alert.subject_id,
        )
    _tell(raised, AlertEvent.RAISED, at)
    _tell_webhooks(raised, WebhookEvent.ALERT_RAISED, at)
    return len(raised)


# --- Who is told ------------------------------------------------------------------------------


def _tell(alerts: Sequence[Alert], event: AlertEvent, at: datetime) -> None:
    """Put an alert into the outbox, once for each of its receivers."""
    if not alerts:
        return
    operators = _operators() if any(_is_for_operators(alert.rule) for alert in alerts) else []
    destinations = _destinations_of({alert.rule_id for alert in alerts})
    roots = _roots(alerts)
    deliveries = [
        AlertDelivery(
            alert=alert,
            owner_id=alert.owner_id,
            event=event,
            next_attempt_at=due_at(alert.rule, severity=alert.severity, at=at),
            created_at=at,
            **receiver,
        )
        for alert in alerts
        for receiver in _receivers(alert, operators, destinations[alert.rule_id], roots)
    ]
    AlertDelivery.objects.bulk_create(deliveries)
    if deliveries:
        deliver_after_commit()


def _receivers(
    alert: Alert, operators: Sequence[int], destinations: Sequence[int], roots: set[int]
) -> Iterator[dict[str, int]]:
    rule, people = alert.rule, set[int]()
    if _is_roots_affair(alert, roots):
        operators, destinations = [pk for pk in operators if pk in roots], []
    if _is_for_operators(rule):
        people |= set(operators)
    if rule.audience != AlertAudience.OPERATORS and alert.user_id is not None:
        people.add(alert.user_id)
    if rule.is_mailed:
        yield from ({"user_id": user_id} for user_id in sorted(people))
    yield from ({"destination_id": destination_id} for destination_id in destinations)


def _is_roots_affair(alert: Alert, roots: set[int]) -> bool:
    """Root's quota is shown to no other operator; a rule about everybody does not tell them either."""
    return alert.user_id in roots and alert.rule.owner_id is None and alert.rule.user_id != alert.user_id


def _roots(alerts: Sequence[Alert]) -> set[int]:
    """Looked up where it matters: an alert that is nobody's is no affair of root's."""
    if not any(alert.user_id for alert in alerts):
        return set()
    return set(User.objects.filter(role=Role.ROOT).values_list("pk", flat=True))


def _is_for_operators(rule: AlertRule) -> bool:
    return rule.audience != AlertAudience.USER


def _operators() -> list[int]:
    operators = User.objects.operators()
    return list(operators.exclude(email="").order_by("pk").values_list("pk", flat=True))


def _destinations_of(rule_ids: Iterable[int]) -> dict[int, list[int]]:
    links = AlertRule.destinations.through.objects.filter(alertrule__in=list(rule_ids))
    found: dict[int, list[int]] = defaultdict(list)
    for rule_id, destination_id in links.order_by("pk").values_list("alertrule_id", "alertdestination_id"):
        found[rule_id].append(destination_id)
    return found


def _tell_webhooks(alerts: Sequence[Alert], event: WebhookEvent, at: datetime) -> None:
    """Webhooks are the operators': what users watch for themselves is not told there."""
    shared = [alert for alert in alerts if alert.rule.is_sent_to_webhooks and not alert.rule.owner_id]
    roots = _roots(shared)
    told = [_told(alert) for alert in shared if not _is_roots_affair(alert, roots)]
    webhooks.emit_all(event=event, data=told, at=at)


def _told(alert: Alert) -> dict[str, Any]:
    return {
        "alert_id": alert.pk,
        "rule_id": alert.rule_id,
        "rule": alert.rule.name,
        "kind": alert.rule.kind,
        "severity": alert.severity,
        "subject_type": alert.subject_type,
        "subject_id": alert.subject_id,
        "subject": alert.subject_name,
        "user_id": alert.user_id,
        "unit": KINDS[AlertKind(alert.rule.kind)].unit.value,
        "threshold": f"{alert.threshold.normalize():f}",
        "value": f"{(alert.value if alert.is_open else alert.resolved_value or 0):f}",
        "facts": alert.facts,
    }
