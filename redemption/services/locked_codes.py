"""Reading a code for its redemption, in a transaction of few round trips."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection

from oneapi_admin.lib.sql import Answer, Batch, for_no_key_update, moment, table
from redemption.models import BatchState, CodeBatch, CodeStatus, Redemption, RedemptionCode
from redemption.models.batches import state_of


class Asked(NamedTuple):
    """Two answers that are still to come: the code, which is locked, and then its batch.

    The batch is read by a statement of its own: so it is as it was when the lock was had, and not when it
    was asked for, which may have been long before.
    """

    code: Answer
    batch: Answer


class LockedCode(NamedTuple):
    """A code that nobody else can redeem or change until the transaction is over, with its batch's terms."""

    pk: int
    hint: str
    status: str
    used_count: int
    batch_id: int
    quota: int
    batch_status: str
    valid_from: datetime | None
    valid_until: datetime | None
    uses_per_code: int
    uses_per_user: int
    is_once_per_user: bool
    group: str

    def obstacle(self, at: datetime) -> str:
        """Why nobody can redeem it; empty when somebody can."""
        if self.status != CodeStatus.ENABLED:
            return str(self.status)
        valid_from, valid_until = moment(self.valid_from), moment(self.valid_until)
        state = state_of(self.batch_status, valid_from=valid_from, valid_until=valid_until, at=at)
        return "" if state == BatchState.ACTIVE else f"batch_{state}"


_CODE = ("id", "hint", "status", "used_count", "batch_id")
_BATCH = (
    *("quota", "status", "valid_from", "valid_until", "uses_per_code", "uses_per_user", "is_once_per_user"),
    "group",
)


def ask_for_code(batch: Batch, digests: Sequence[bytes]) -> Asked:
    """Ask for a code, its lock, and its batch.

    :param digests: of one code, under one secret or another
    """
    parameters: list[Any] = [digest if connection.vendor == "sqlite" else digest.hex() for digest in digests]
    of_code, of_batch = _statements(connection.vendor, len(digests))
    return Asked(batch.execute(of_code, parameters), batch.execute(of_batch, parameters))


def code_in(asked: Asked) -> LockedCode | None:
    """The code that was asked for; it is locked now."""
    codes, batches = asked.code.fetchall(), asked.batch.fetchall()
    return LockedCode(*codes[0], *batches[0]) if codes else None


def count_redemptions(batch: Batch, *, user_id: int, code_id: int) -> int:
    """How often a person redeemed a code."""
    return _count(batch, "code_id", user_id, code_id)


def count_redemptions_of_batch(batch: Batch, *, user_id: int, batch_id: int) -> int:
    """How many codes of a batch a person redeemed."""
    return _count(batch, "batch_id", user_id, batch_id)


def _count(batch: Batch, column: str, user_id: int, value: int) -> int:
    cast = "%s::bigint" if connection.vendor == "postgresql" else "CAST(%s AS integer)"
    statement = f"SELECT COUNT(*) FROM {table(Redemption)} WHERE user_id = {cast} AND {column} = {cast}"
    [(count,)] = batch.execute(statement, [str(user_id), str(value)]).fetchall()
    return int(count)


@lru_cache(maxsize=8)
def _statements(vendor: str, digests: int) -> tuple[str, str]:
    code, batch = ", ".join(_CODE), ", ".join(connection.ops.quote_name(name) for name in _BATCH)
    digest = "%s" if vendor == "sqlite" else "decode(%s, 'hex')"
    found = f"FROM {table(RedemptionCode)} WHERE digest IN ({', '.join([digest] * digests)})"
    return (
        f"SELECT {code} {found} {for_no_key_update()}",
        f"SELECT {batch} FROM {table(CodeBatch)} WHERE id IN (SELECT batch_id {found})",
    )
