"""Jobs on a schedule (``CELERY_BEAT_SCHEDULE``); each is safe to run twice."""

from celery import shared_task
from django.utils import timezone

from billing.models import Channel, ChannelStatus
from billing.services import balances, holds

HOLDS_AT_ONCE = 1000


@shared_task(name="billing.refresh_balances")
def refresh_balances() -> None:
    """Ask the provider of every enabled channel what is left."""
    for channel in Channel.objects.filter(status=ChannelStatus.ENABLED).order_by("pk"):
        balances.refresh_balance(channel=channel, at=timezone.now())


@shared_task(name="billing.expire_holds")
def expire_holds() -> None:
    """Give back what the calls of killed processes still hold."""
    while holds.expire(at=timezone.now(), limit=HOLDS_AT_ONCE) == HOLDS_AT_ONCE:
        pass
