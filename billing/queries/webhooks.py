"""Webhooks and what they were told, as pages and programs show them."""

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from billing.models import DeliveryStatus, Webhook, WebhookDelivery


def webhooks() -> QuerySet[Webhook]:
    """All of them, each with the state and time of its newest delivery and how many failed."""
    newest = WebhookDelivery.objects.filter(webhook=OuterRef("pk")).order_by("-pk")
    failed = (
        WebhookDelivery.objects.filter(webhook=OuterRef("pk"), status=DeliveryStatus.FAILED)
        .order_by()
        .values("webhook")
        .annotate(count=Count("pk"))
    )
    return Webhook.objects.annotate(
        last_status=Subquery(newest.values("status")[:1]),
        last_created_at=Subquery(newest.values("created_at")[:1]),
        failed_count=Coalesce(Subquery(failed.values("count")), 0),
    )


def deliveries_of(*, webhook: Webhook, status: str = "") -> QuerySet[WebhookDelivery]:
    """A webhook's log."""
    deliveries = webhook.deliveries.all()
    return deliveries.filter(status=status) if status in DeliveryStatus.values else deliveries
