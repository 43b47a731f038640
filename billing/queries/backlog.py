"""What waits to be done, and what should have been done by now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q

from billing.models import Hold, WebhookDelivery

LATE: Final = timedelta(minutes=1)
"""After this, the job that does it is not running: it looks several times a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Numbers of rows."""

    open_holds: int
    overdue_holds: int
    """They outlived the longest call, and nobody gave them back."""
    pending_deliveries: int
    """Of webhooks that are enabled."""
    overdue_deliveries: int
    """Nobody tried to send them when it was time."""


def backlog(*, at: datetime) -> Backlog:
    holds = Hold.objects.aggregate(open=Count("pk"), overdue=Count("pk", filter=Q(expires_at__lt=at - LATE)))
    waiting = WebhookDelivery.objects.filter(next_attempt_at__isnull=False, webhook__is_enabled=True)
    deliveries = waiting.aggregate(
        pending=Count("pk"), overdue=Count("pk", filter=Q(next_attempt_at__lt=at - LATE))
    )
    return Backlog(
        open_holds=holds["open"],
        overdue_holds=holds["overdue"],
        pending_deliveries=deliveries["pending"],
        overdue_deliveries=deliveries["overdue"],
    )
