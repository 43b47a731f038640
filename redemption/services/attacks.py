"""Noticing that somebody guesses codes, and telling operators once."""

from datetime import datetime
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, Max, Q, Sum

from billing.models import WebhookEvent
from billing.services import webhooks
from redemption.models import CodeAttack, RefusedAttempts
from redemption.models.attempts import RECENT
from redemption.services import attack_mails, attempts

logger = structlog.get_logger(__name__)


def watch(*, at: datetime) -> None:
    """Notice an attack that began, follow the one that is on, and end it once nobody tried for an hour.

    Any number of processes may do so at the same time: there is one open attack, and who opens it tells.
    """
    attempts.record_throttled(at=at)
    attack = CodeAttack.objects.open().first()
    if attack is not None:
        _follow(attack, at)
    elif _is_on(at):
        _open(at)


def _is_on(at: datetime) -> bool:
    """Whether more was tried within the last hour than people do who mistype."""
    recent = RefusedAttempts.objects.recent(at)
    refused, throttled = recent.count_attempts()
    if refused >= min(settings.CODE_ATTACK_REFUSALS, settings.REDEEM_FAILURES_IN_ALL):
        return True
    many = settings.CODE_ATTACK_THROTTLED
    if throttled < many:
        return False
    of_users = recent.values("user").annotate(throttled=Sum("throttled_count"))
    of_addresses = recent.exclude(address="").values("address").annotate(throttled=Sum("throttled_count"))
    return any(found.filter(throttled__gte=many).exists() for found in (of_users, of_addresses))


def _open(at: datetime) -> None:
    """Write the attack down and everything that tells of it, unless somebody else has by now."""
    found = _counts(at)
    try:
        with transaction.atomic():
            attack = CodeAttack.objects.create(started_at=at, **found)
            attack_mails.address(attack, at=at)
            webhooks.emit(event=WebhookEvent.CODE_ATTACK, data=_told(attack), at=at)
    except IntegrityError:
        return
    logger.error("redemption.attack_noticed", attack_id=attack.pk, **found)


def _follow(attack: CodeAttack, at: datetime) -> None:
    found = _counts(attack.started_at)
    is_over = found["last_seen_at"] is None or found["last_seen_at"] <= at - RECENT
    if found["last_seen_at"] is None:  # its records are so old that they were deleted
        found = {}
    still_open = CodeAttack.objects.open().filter(pk=attack.pk)
    if still_open.update(**found, ended_at=at if is_over else None) and is_over:
        logger.warning("redemption.attack_over", attack_id=attack.pk, **found)


def _counts(started_at: datetime) -> dict[str, Any]:
    """The fields of an attack: what was tried since the hour before it was noticed."""
    found = RefusedAttempts.objects.filter(last_at__gt=started_at - RECENT)
    return found.aggregate(
        last_seen_at=Max("last_at"),
        refused_count=Sum("refused_count", default=0),
        throttled_count=Sum("throttled_count", default=0),
        user_count=Count("user", distinct=True),
        address_count=Count("address", distinct=True, filter=~Q(address="")),
    )


def _told(attack: CodeAttack) -> dict[str, Any]:
    return {
        "attack_id": attack.pk,
        "refused": attack.refused_count,
        "throttled": attack.throttled_count,
        "users": attack.user_count,
        "addresses": attack.address_count,
    }
