"""Making the codes of a batch: all of them in one transaction, or none."""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from oneapi_admin.lib.jobs import enqueue
from redemption.models import BatchStatus, CodeBatch, RedemptionCode
from redemption.services.batches import MAKE_CODES
from redemption.services.code_parts import new_parts

logger = structlog.get_logger(__name__)

AT_ONCE = 1000
"""So many codes are made for who waits; more are made by a job."""
_LOCKS = 0x636F6465
"""The first half of the numbers by which PostgreSQL knows who makes which batch."""
SILENT_S = 60
"""Who makes codes and has said nothing for so long is dead."""


def make_codes(*, batch: CodeBatch, at: datetime) -> bool:
    """Make the codes that were ordered with a batch, unless it was cancelled or they are there already.

    However often and by however many it is called, a batch gets its codes once.

    :returns: whether they were made now
    """
    with transaction.atomic():
        if not _is_mine(batch):
            return False
        try:
            last = _last_code_id()
            is_made = _write_all(batch) and _is_first(batch, at, after=last)
        finally:
            _forget_progress(batch)
        transaction.set_rollback(not is_made)
    logger.info("redemption.codes_made", batch_id=batch.pk, count=batch.count, is_made=is_made)
    return is_made


def made_count(batch: CodeBatch) -> int | None:
    """How many codes of a batch that is being made are written so far; None if nobody tells."""
    try:
        known = cache.get(_progress_key(batch.pk))
    except (ConnectionInterrupted, RedisError):
        return None
    return None if known is None else int(known)


def resume_making() -> int:
    """Ask again for the batches that nobody is making: those of dead workers, and those of lost messages.

    :returns: how many
    """
    waiting = CodeBatch.objects.filter(status=BatchStatus.CREATING).order_by("pk")
    left_alone = [batch for batch in waiting if made_count(batch) is None]
    for batch in left_alone:
        enqueue(MAKE_CODES, batch_id=batch.pk)
    return len(left_alone)


def _is_mine(batch: CodeBatch) -> bool:
    """Be the only one who makes a batch until the transaction is over; SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCKS, batch.pk % 2**31])
            if not cursor.fetchone()[0]:
                return False
    return _is_wanted(batch)


def _write_all(batch: CodeBatch) -> bool:
    """Write the codes, part by part; False as soon as nobody wants them any more."""
    written = 0
    _report_progress(batch, written)
    for part in new_parts(batch):
        if not _is_wanted(batch):
            return False
        part.insert()
        written += part.count
        _report_progress(batch, written)
    return True


def _is_wanted(batch: CodeBatch) -> bool:
    return CodeBatch.objects.filter(pk=batch.pk, status=BatchStatus.CREATING).exists()


def _last_code_id() -> int:
    return RedemptionCode.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _is_first(batch: CodeBatch, at: datetime, *, after: int) -> bool:
    """Let the codes be redeemed, if nobody else has made them or cancelled the batch meanwhile.

    :param after: a primary key that is smaller than all of theirs
    """
    own = RedemptionCode.objects.filter(batch=batch, pk__gt=after).values_list("pk", flat=True)
    return bool(
        CodeBatch.objects.filter(pk=batch.pk, status=BatchStatus.CREATING).update(
            first_code_id=own.order_by("pk")[:1],
            last_code_id=own.order_by("-pk")[:1],
            status=BatchStatus.READY,
            ready_at=at,
            sealed_until=at + timedelta(hours=settings.CODE_EXPORT_HOURS),
        )
    )


def _progress_key(batch_id: int) -> str:
    return f"redemption:made:{batch_id}"


def _report_progress(batch: CodeBatch, written: int) -> None:
    """Say how far it is, for whoever watches and for whoever would take over; few codes are there at once."""
    if batch.count <= AT_ONCE:
        return
    try:
        cache.set(_progress_key(batch.pk), written, timeout=SILENT_S)
    except (ConnectionInterrupted, RedisError):
        logger.warning("redemption.progress_not_told", batch_id=batch.pk)


def _forget_progress(batch: CodeBatch) -> None:
    if batch.count <= AT_ONCE:
        return
    try:
        cache.delete(_progress_key(batch.pk))
    except (ConnectionInterrupted, RedisError):
        logger.warning("redemption.progress_not_told", batch_id=batch.pk)
