"""Making the codes of a batch: all of them in one transaction, or none."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import Max, Min
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from oneapi_admin.lib.jobs import enqueue
from oneapi_admin.lib.sql import table
from redemption import code_format
from redemption.models import BatchStatus, CodeBatch, CodeStatus, RedemptionCode, SealedCodes
from redemption.services.batches import MAKE_CODES
from redemption.services.secrets import digests_of, seal

logger = structlog.get_logger(__name__)

AT_ONCE = 1000
"""So many codes are made for who waits; more are made by a job."""
PART = 50_000
"""How many codes are written at once, are encrypted together, and are lost sight of between two reports."""
_LOCKS = 0x636F6465
"""The first half of the numbers by which PostgreSQL knows who makes which batch."""
SILENT_S = 60
"""Who makes codes and has said nothing for so long is dead."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a batch's codes."""

    random: bytes
    rows: list[str]
    """Digest, tabulator, hint: in the order of the digests, since an index grows best in its own order."""


def make_codes(*, batch: CodeBatch, at: datetime) -> bool:
    """Make the codes that were ordered with a batch, unless it was cancelled or they are there already.

    However often and by however many it is called, a batch gets its codes once.

    :returns: whether they were made now
    """
    with transaction.atomic():
        if not _is_mine(batch):
            return False
        try:
            is_made = _write_all(batch) and _is_first(batch, at)
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
    for number, part in enumerate(new_parts(batch.count)):
        if not _is_wanted(batch):
            return False
        SealedCodes.objects.create(batch=batch, number=number, content=seal(part.random))
        _insert(batch, part.rows)
        written += len(part.rows)
        _report_progress(batch, written)
    return True


def _is_wanted(batch: CodeBatch) -> bool:
    return CodeBatch.objects.filter(pk=batch.pk, status=BatchStatus.CREATING).exists()


def _is_first(batch: CodeBatch, at: datetime) -> bool:
    """Let the codes be redeemed, if nobody else has made them or cancelled the batch meanwhile."""
    codes = RedemptionCode.objects.filter(batch=batch, status=CodeStatus.ENABLED)
    ends = codes.aggregate(first_code_id=Min("pk"), last_code_id=Max("pk"))
    return bool(
        CodeBatch.objects.filter(pk=batch.pk, status=BatchStatus.CREATING).update(
            **ends,
            status=BatchStatus.READY,
            ready_at=at,
            sealed_until=at + timedelta(hours=settings.CODE_EXPORT_HOURS),
        )
    )


def new_parts(count: int) -> Iterator[Part]:
    """Yield the codes in parts; while one of them is written the next is made."""
    sizes = [min(PART, count - start) for start in range(0, count, PART)]
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_new_part, sizes[0])
        for size in sizes[1:]:
            part, coming = coming.result(), pool.submit(_new_part, size)
            yield part
        yield coming.result()


def _new_part(size: int) -> Part:
    step = code_format.RANDOM_BYTES
    random = secrets.token_bytes(size * step)
    digests = digests_of([random[start : start + step] for start in range(0, len(random), step)])
    pairs = zip(digests, code_format.hints(random), strict=True)
    return Part(random, sorted([f"{digest}\t{hint}" for digest, hint in pairs]))


def _insert(batch: CodeBatch, rows: list[str]) -> None:
    with connection.wrap_database_errors, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            columns = "(digest, hint, batch_id)"
            with cursor.copy(f"COPY {table(RedemptionCode)} {columns} FROM STDIN") as copy:
                copy.write(copy_lines(batch, rows))
        else:
            pairs = (row.split("\t") for row in rows)
            cursor.executemany(
                f"INSERT INTO {table(RedemptionCode)} (batch_id, digest, hint) VALUES (%s, %s, %s)",
                [(batch.pk, bytes.fromhex(digest), hint) for digest, hint in pairs],
            )


def copy_lines(batch: CodeBatch, rows: list[str]) -> str:
    """Rows in the text form of PostgreSQL's COPY, whose bytes begin with ``\\\\x``."""
    end = f"\t{batch.pk}\n"
    return "\\\\x" + f"{end}\\\\x".join(rows) + end


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
