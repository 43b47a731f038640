"""Reading a code for its redemption, in a transaction of few round trips."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import connection

from oneapi_admin.lib.sql import Batch, for_no_key_update, moment, table
from redemption.models import CodeBatch, Redemption, RedemptionCode

_CODE = ("id", "hint", "status", "used_count", "batch_id")
_BATCH = (
    *("quota", "status", "valid_from", "valid_until", "uses_per_code", "uses_per_user", "is_once_per_user"),
    "group",
)


def locked_code(batch: Batch, digests: Sequence[bytes]) -> RedemptionCode | None:
    """The code of which these are the hashes, with its batch; nobody else can redeem or change it until the
    transaction is over.

    :param digests: of one code, under one secret or another
    """
    parameters = [digest if connection.vendor == "sqlite" else digest.hex() for digest in digests]
    rows = batch.execute(_statement(connection.vendor, len(digests)), parameters).fetchall()  # type: ignore[arg-type]
    return _code(*rows[0]) if rows else None


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


def _code(*values: object) -> RedemptionCode:
    of_code: dict[str, Any] = dict(zip(_CODE, values, strict=False))
    of_batch: dict[str, Any] = dict(zip(_BATCH, values[len(_CODE) :], strict=True))
    for name in ("valid_from", "valid_until"):
        of_batch[name] = moment(of_batch[name])
    return RedemptionCode(batch=CodeBatch(pk=of_code.pop("batch_id"), **of_batch), **of_code)


@lru_cache(maxsize=8)
def _statement(vendor: str, digests: int) -> str:
    quote = connection.ops.quote_name
    columns = [f"c.{quote(name)}" for name in _CODE] + [f"b.{quote(name)}" for name in _BATCH]
    digest = "%s" if vendor == "sqlite" else "decode(%s, 'hex')"
    lock = f"{for_no_key_update()} OF c" if vendor == "postgresql" else ""
    return (
        f"SELECT {', '.join(columns)} FROM {table(RedemptionCode)} c"
        f" JOIN {table(CodeBatch)} b ON b.id = c.batch_id"
        f" WHERE c.digest IN ({', '.join([digest] * digests)}) {lock}"
    )
