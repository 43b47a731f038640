"""The codes of a batch, made and written part by part."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.db import connection

from oneapi_admin.lib import copying
from oneapi_admin.lib.sql import table
from redemption import code_format
from redemption.models import CodeBatch, RedemptionCode, SealedCodes
from redemption.services.secrets import digests_of, seal

SMALLEST_PART, LARGEST_PART = 25_000, 200_000
"""How many codes are written at once, are encrypted together, and are lost sight of between two reports."""
_DIGEST_BYTES = 32
_HINT_LENGTH = copying.length(code_format.HINT_SYMBOLS)
_CODE = ("digest", "hint", "batch_id")
_SEALED = ("batch_id", "number", "content")


@dataclass(frozen=True, slots=True)
class Part:
    """Some of a batch's codes, encrypted and hashed, as PostgreSQL or SQLite takes them."""

    batch_id: int
    number: int
    count: int
    sealed: bytes
    rows: bytes | list[tuple[bytes, str, int]]

    def insert(self) -> None:
        """Write them in the transaction that is open."""
        if isinstance(self.rows, bytes):
            begin = copying.row(len(_SEALED)) + copying.bigint(self.batch_id) + copying.integer(self.number)
            copying.copy_in(SealedCodes, _SEALED, begin + copying.field(self.sealed))
            copying.copy_in(RedemptionCode, _CODE, self.rows)
            return
        SealedCodes.objects.create(batch_id=self.batch_id, number=self.number, content=self.sealed)
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table(RedemptionCode)} ({', '.join(_CODE)}) VALUES (%s, %s, %s)", self.rows
            )


def new_parts(batch: CodeBatch) -> Iterator[Part]:
    """Make the codes of a batch; while the database writes a part the next is made."""
    first, *others = sizes(batch.count)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(_new_part, batch.pk, 0, first)
        for number, count in enumerate(others, start=1):
            part, coming = coming.result(), pool.submit(_new_part, batch.pk, number, count)
            yield part
        yield coming.result()


def sizes(count: int) -> Iterator[int]:
    """How many codes each part has: few at first, so that there is something to write soon."""
    size = min(SMALLEST_PART, count)
    while count:
        yield size
        count -= size
        size = min(2 * size, LARGEST_PART, count)


def _new_part(batch_id: int, number: int, count: int) -> Part:
    random = secrets.token_bytes(count * code_format.RANDOM_BYTES)
    rows = rows_of(random)
    is_copied = connection.vendor == "postgresql"
    return Part(
        batch_id=batch_id,
        number=number,
        count=count,
        sealed=seal(random),
        rows=copied(batch_id, rows) if is_copied else list(_columns(batch_id, rows)),
    )


def rows_of(random: bytes) -> list[bytes]:
    """What is stored of codes: the digest, the hint's length as COPY wants it, and the hint.

    They come in the order of the digests: an index grows best in its own order.

    :param random: 10 bytes for each code
    """
    step = code_format.RANDOM_BYTES
    digests = digests_of([random[start : start + step] for start in range(0, len(random), step)])
    pairs = zip(digests, code_format.hints(random), strict=True)
    return sorted([digest + _HINT_LENGTH + hint for digest, hint in pairs])


def copied(batch_id: int, rows: list[bytes]) -> bytes:
    """Rows of :func:`rows_of` as COPY takes them."""
    begin = copying.row(len(_CODE)) + copying.length(_DIGEST_BYTES)
    end = copying.bigint(batch_id)
    return begin + (end + begin).join(rows) + end


def _columns(batch_id: int, rows: list[bytes]) -> Iterator[tuple[bytes, str, int]]:
    for row in rows:
        yield row[:_DIGEST_BYTES], row[_DIGEST_BYTES + len(_HINT_LENGTH) :].decode(), batch_id
