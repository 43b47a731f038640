"""Jobs about codes; each is safe to run twice."""

from datetime import timedelta

import structlog
from celery import shared_task
from django.utils import timezone

from oneapi_admin.lib.jobs import enqueue
from redemption.models import CodeBatch
from redemption.services import attack_mails, attacks, attempts, making, sealed
from redemption.services.batches import MAKE_CODES, fail_batch

logger = structlog.get_logger(__name__)

ATTEMPTS_KEPT = timedelta(days=30)
_ATTEMPTS_AT_ONCE = 1000


@shared_task(name=MAKE_CODES)  # type: ignore[untyped-decorator]
def make_codes(batch_id: int) -> None:
    """Make the codes of a batch, unless somebody is at it."""
    batch = CodeBatch.objects.get(pk=batch_id)
    if making.made_count(batch) is not None:
        return
    try:
        making.make_codes(batch=batch, at=timezone.now())
    except Exception as exc:
        logger.exception("redemption.codes_not_made", batch_id=batch_id)
        fail_batch(batch_id=batch_id, reason=type(exc).__name__)


@shared_task(name="redemption.resume_making")  # type: ignore[untyped-decorator]
def resume_making() -> None:
    """Have batches made whose makers died."""
    making.resume_making()


@shared_task(name="redemption.forget_sealed_codes")  # type: ignore[untyped-decorator]
def forget_sealed_codes() -> None:
    """Delete what codes can be read from, where the time for it is over."""
    while sealed.forget_expired(at=timezone.now()):
        pass


# --- Wrong codes ------------------------------------------------------------------------------


@shared_task(name="redemption.watch_attacks")  # type: ignore[untyped-decorator]
def watch_attacks() -> None:
    """Notice that somebody guesses codes, and have mails sent that could not be sent before."""
    attacks.watch(at=timezone.now())
    if attack_mails.are_due(at=timezone.now()):
        enqueue(attack_mails.SEND)


@shared_task(name=attack_mails.SEND)  # type: ignore[untyped-decorator]
def send_attack_mails() -> None:
    """Tell operators of an attack."""
    attack_mails.send_due(at=timezone.now())


@shared_task(name="redemption.forget_attempts")  # type: ignore[untyped-decorator]
def forget_attempts() -> None:
    """Delete who tried wrong codes long ago."""
    before = timezone.now() - ATTEMPTS_KEPT
    while attempts.forget_attempts(before=before, limit=_ATTEMPTS_AT_ONCE) == _ATTEMPTS_AT_ONCE:
        pass
