"""Sending what is in the outbox: by mail and to chat services.

All that is due for a receiver goes into one message. From the first attempt on a message keeps its alerts and
its id, so that a receiver that gets it again can tell.
"""

import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Min, QuerySet
from django.utils.translation import gettext as _

from billing.models import AlertDelivery, AlertSeverity, DeliveryStatus
from billing.services.alerts import chat
from billing.services.alerts.schedule import after_quiet_hours
from billing.services.alerts.texts import Message, message

logger = structlog.get_logger(__name__)

RETRY_AFTER_S: Final = (30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
"""How long to wait after each attempt that failed, and up to a twentieth longer: a day; then it is over."""
CLAIMED_FOR: Final = timedelta(minutes=2)
"""Longer than the longest attempt: whoever claimed a message and has not reported by then is dead."""
AT_ONCE: Final = 16
"""Messages under way at the same time, each to another receiver."""
_IN_A_MESSAGE: Final = 100


@dataclass(frozen=True, slots=True)
class _Claim:
    """A message that is ours for a while."""

    deliveries: Sequence[AlertDelivery]
    message_id: UUID
    message: Message

    @property
    def first(self) -> AlertDelivery:
        return self.deliveries[0]


@dataclass(frozen=True, slots=True)
class _Outcome:
    error: str
    took: timedelta


def deliver_due(*, at: datetime) -> int:
    """Send what is due, a limited number at once; any number of processes may do so at the same time.

    :returns: how many alerts were sent, successfully or not; 0 when nothing was due
    """
    claims = _claim(at)
    if not claims:
        return 0
    with ThreadPoolExecutor(max_workers=len(claims)) as pool:
        sending = {pool.submit(_send, claim): claim for claim in claims}
        for future in as_completed(sending):
            _record(sending[future], future.result(), at)
    return sum(len(claim.deliveries) for claim in claims)


def forget_deliveries(*, before: datetime, limit: int) -> int:
    """Delete a portion of the old deliveries.

    :returns: how many there were
    """
    old = AlertDelivery.objects.filter(created_at__lt=before).order_by("created_at", "pk")
    return AlertDelivery.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:limit])).delete()[0]


def _claim(at: datetime) -> list[_Claim]:
    """Take messages for oneself, that of the receiver first who waits longest.

    Whoever is being sent something is left alone, so that one that hangs occupies one place of one worker.
    """
    waiting = AlertDelivery.objects.filter(next_attempt_at__isnull=False).order_by()
    receivers = waiting.values_list("user", "destination")
    busy = set(receivers.filter(claimed_until__gt=at))
    due = receivers.filter(next_attempt_at__lte=at).annotate(Min("next_attempt_at"))
    claims: list[_Claim] = []
    for user_id, destination_id, _since in list(due.order_by("next_attempt_at__min")):
        if len(claims) == AT_ONCE:
            break
        if (user_id, destination_id) not in busy:
            claims += _claim_of(user_id, destination_id, at)
    return claims


def _claim_of(user_id: int | None, destination_id: int | None, at: datetime) -> list[_Claim]:
    until = at + CLAIMED_FOR
    waiting = AlertDelivery.objects.filter(
        user=user_id, destination=destination_id, next_attempt_at__isnull=False
    )
    with transaction.atomic():
        due = _locked(waiting.filter(next_attempt_at__lte=at))
        first = due.first()
        if first is None:
            return []
        deliveries = list(due.filter(message_id=first.message_id)[:_IN_A_MESSAGE])
        message_id = first.message_id or uuid4()
        for delivery in deliveries:
            delivery.attempts, delivery.message_id = delivery.attempts + 1, message_id
            delivery.claimed_until = delivery.next_attempt_at = until
        AlertDelivery.objects.bulk_update(
            deliveries, ["attempts", "message_id", "claimed_until", "next_attempt_at"]
        )
    return [_Claim(deliveries, message_id, _written(deliveries))]


def _locked(deliveries: QuerySet[AlertDelivery]) -> QuerySet[AlertDelivery]:
    joined = deliveries.select_related("alert__rule", "user", "destination__owner")
    return joined.select_for_update(of=("self",), skip_locked=True).order_by("next_attempt_at", "pk")


def _written(deliveries: Sequence[AlertDelivery]) -> Message:
    user, destination = deliveries[0].user, deliveries[0].destination
    if destination is not None:
        language, reader_id = destination.language, destination.owner_id
    else:
        language, reader_id = (user.language, user.pk) if user is not None else ("", None)
    return message(deliveries, language=language, reader_id=reader_id)


# --- One attempt ------------------------------------------------------------------------------


def _send(claim: _Claim) -> _Outcome:
    """Make one attempt; runs in a thread and leaves the database alone."""
    started = time.monotonic()
    destination = claim.first.destination
    try:
        if destination is None:
            error = _mail(claim)
        else:
            error = chat.send(destination.get_address(), title=claim.message.title, body=claim.message.body)
    except InvalidToken:
        error = _("The address cannot be read any more: add it again.")
    except (SMTPException, OSError) as exc:
        error = str(exc) or type(exc).__name__
    except Exception as exc:  # whatever is wrong with one message must not have the others sent again
        logger.exception("billing.alert_not_sent", message_id=str(claim.message_id))
        error = type(exc).__name__
    return _Outcome(error[:255], timedelta(seconds=time.monotonic() - started))


def _mail(claim: _Claim) -> str:
    """
    :returns: why there is nobody to send it to; empty when it was sent
    :raises SMTPException: if the server does not take it
    :raises OSError: if the server cannot be reached
    """
    user = claim.first.user
    if user is None or not user.is_active or not user.email:
        return _("There is no e-mail address to send it to.")
    subject = f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{claim.message.title}"
    headers = {"Message-ID": f"<{claim.message_id}@oneapi-admin>", "Auto-Submitted": "auto-generated"}
    EmailMessage(" ".join(subject.split()), claim.message.body, None, [user.email], headers=headers).send()
    return ""


def _record(claim: _Claim, outcome: _Outcome, at: datetime) -> None:
    """Note the outcome, unless somebody else has taken the message over."""
    ended = at + outcome.took
    changes: dict[str, Any] = {"status": DeliveryStatus.DELIVERED, "next_attempt_at": None}
    if outcome.error:
        again_at = _next_attempt(claim.first, ended)
        changes = {
            "status": DeliveryStatus.PENDING if again_at else DeliveryStatus.FAILED,
            "next_attempt_at": again_at,
        }
    mine = AlertDelivery.objects.filter(
        message_id=claim.message_id,
        attempts=claim.first.attempts,
        claimed_until=claim.first.claimed_until,
        pk__in=[delivery.pk for delivery in claim.deliveries],
    )
    mine.update(
        claimed_until=None,
        error=outcome.error,
        delivered_at=None if outcome.error else ended,
        **changes,
    )
    logger.info(
        "billing.alerts_sent",
        message_id=str(claim.message_id),
        user_id=claim.first.user_id,
        destination_id=claim.first.destination_id,
        alerts=len(claim.deliveries),
        attempt=claim.first.attempts,
        outcome=str(changes["status"]),
    )


def _next_attempt(delivery: AlertDelivery, ended: datetime) -> datetime | None:
    """When to try again, not during quiet hours; None when it is over."""
    if delivery.attempts > len(RETRY_AFTER_S):
        return None
    delay = RETRY_AFTER_S[delivery.attempts - 1]
    again_at = ended + timedelta(seconds=delay + secrets.randbelow(delay // 20 + 1))
    if delivery.alert.severity == AlertSeverity.CRITICAL:
        return again_at
    return after_quiet_hours(delivery.alert.rule, at=again_at)
