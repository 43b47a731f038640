"""Rules, alerts and what became of them, as pages and programs show them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.models import Role, User
from billing.models import (
    Alert,
    AlertAudience,
    AlertDelivery,
    AlertDestination,
    AlertRule,
    DeliveryStatus,
    Webhook,
    WebhookEvent,
)


def rules_of(owner: User | None, *, viewer: User | None = None) -> QuerySet[AlertRule]:
    """The rules of a person or, without one, the operators', each with the number of its open alerts.

    :param viewer: who looks, where that matters: nobody below root sees root's affairs
    """
    return _rules().filter(_is_visible_to(viewer), owner=owner)


def rules_within_reach(viewer: User) -> QuerySet[AlertRule]:
    """All rules that a person may change: their own, and for operators the operators'."""
    return _rules().filter(_is_visible_to(viewer), _is_within_reach(viewer))


def destinations_of(owner: User | None) -> QuerySet[AlertDestination]:
    """The destinations of a person or, without one, the operators', each with how it went last."""
    return _destinations().filter(owner=owner)


def destinations_within_reach(viewer: User) -> QuerySet[AlertDestination]:
    """All destinations that a person may change: their own, and for operators the operators'."""
    return _destinations().filter(_is_within_reach(viewer))


def operators_alerts(
    *, is_open: bool = False, rule: int | None = None, viewer: User | None = None
) -> QuerySet[Alert]:
    """What the operators' rules raised; what people watch for themselves is their own affair.

    :param is_open: only those that are not over
    :param rule: only those of one rule
    :param viewer: who looks, where that matters: nobody below root sees root's affairs
    """
    alerts = Alert.objects.filter(_is_visible_to(viewer), owner=None)
    return _narrowed(alerts, is_open=is_open, rule=rule)


def alerts_told_to(user: User, *, is_open: bool = False, rule: int | None = None) -> QuerySet[Alert]:
    """What a person is told of their own quota, by their own rules and by the operators'.

    :param is_open: only those that are not over
    :param rule: only those of one rule
    """
    is_told = Q(owner=user) | Q(owner=None, rule__audience__in=(AlertAudience.USER, AlertAudience.BOTH))
    return _narrowed(Alert.objects.filter(is_told, user=user), is_open=is_open, rule=rule)


def alerts_within_reach(viewer: User) -> QuerySet[Alert]:
    """All that a person may see: what they are told, and for operators what the operators' rules raised."""
    told = alerts_told_to(viewer)
    return told | operators_alerts(viewer=viewer) if viewer.is_operator else told


def operators_deliveries(*, status: str = "", viewer: User | None = None) -> QuerySet[AlertDelivery]:
    """The log of what the operators' alerts were sent to.

    :param status: one of ``DeliveryStatus``; anything else is all
    :param viewer: who looks, where that matters: nobody below root sees root's affairs
    """
    return _deliveries(None, status).filter(_is_visible_to(viewer, "alert__user"))


def own_deliveries(user: User, *, status: str = "") -> QuerySet[AlertDelivery]:
    """The log of what the alerts of a person's own rules were sent to.

    :param status: one of ``DeliveryStatus``; anything else is all
    """
    return _deliveries(user, status)


def deliveries_of(alert: Alert, *, reader: User | None = None) -> QuerySet[AlertDelivery]:
    """Whom an alert was sent to, the first first.

    :param reader: only what was sent to this person and to their destinations; None for all
    """
    deliveries = alert.deliveries.filter(_is_sent_to(reader)).order_by("pk")
    return deliveries.select_related("user", "destination")


def delivery_counts(
    alerts: Sequence[Alert], *, reader: User | None = None
) -> Mapping[int, Mapping[str, int]]:
    """How many deliveries of each alert have which status.

    :param reader: counts only what was sent to this person and to their destinations; None for all
    """
    deliveries = AlertDelivery.objects.filter(_is_sent_to(reader), alert__in=[alert.pk for alert in alerts])
    counts = defaultdict[int, dict[str, int]](dict)
    rows = deliveries.order_by().values_list("alert", "status").annotate(count=Count("pk"))
    for alert_id, status, count in rows:
        counts[alert_id][status] = count
    return counts


def operators_with_address() -> int:
    """How many people get what operators are told by e-mail."""
    count: int = User.objects.operators().exclude(email="").count()
    return count


def webhooks_told() -> int:
    """How many webhooks are told of alerts."""
    told = {WebhookEvent.ALERT_RAISED, WebhookEvent.ALERT_RESOLVED}
    return sum(not told.isdisjoint(webhook.events) for webhook in Webhook.objects.filter(is_enabled=True))


def _rules() -> QuerySet[AlertRule]:
    still_open = Alert.objects.filter(rule=OuterRef("pk"), resolved_at__isnull=True).order_by()
    counted = still_open.values("rule").annotate(count=Count("pk")).values("count")
    rules = AlertRule.objects.annotate(open_count=Coalesce(Subquery(counted), 0))
    return rules.select_related("channel", "user").prefetch_related("destinations")


def _destinations() -> QuerySet[AlertDestination]:
    newest = AlertDelivery.objects.filter(destination=OuterRef("pk")).order_by("-pk")
    return AlertDestination.objects.annotate(
        last_status=Subquery(newest.values("status")[:1]),
        last_created_at=Subquery(newest.values("created_at")[:1]),
        last_error=Subquery(newest.values("error")[:1]),
    )


def _narrowed(alerts: QuerySet[Alert], *, is_open: bool, rule: int | None) -> QuerySet[Alert]:
    if is_open:
        alerts = alerts.filter(resolved_at__isnull=True)
    if rule is not None:
        alerts = alerts.filter(rule=rule)
    return alerts.select_related("rule")


def _deliveries(owner: User | None, status: str) -> QuerySet[AlertDelivery]:
    deliveries = AlertDelivery.objects.filter(owner=owner)
    if status in DeliveryStatus.values:
        deliveries = deliveries.filter(status=status)
    return deliveries.select_related("alert__rule", "user", "destination")


def _is_sent_to(reader: User | None) -> Q:
    return Q() if reader is None else Q(user=reader) | Q(destination__owner=reader)


def _is_within_reach(viewer: User) -> Q:
    own = Q(owner=viewer)
    return own | Q(owner=None) if viewer.is_operator else own


def _is_visible_to(viewer: User | None, user: str = "user") -> Q:
    """
    :param user: leads to whose affair it is, if anybody's
    """
    if viewer is None or viewer.is_root:
        return Q()
    return Q(**{user: viewer}) | ~Q(**{f"{user}__role": Role.ROOT})
