"""The ledger: the only code that changes a balance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext_lazy as _

from billing.models import EntryKind, LedgerEntry, QuotaAccount
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA
from oneapi_admin.lib.sql import Answer, Batch, Statements, insert_rows, lock_rows, update_rows


class UnknownAccountError(DomainError):
    code = "account_not_found"
    http_status = 404
    message = _("There is no quota account %(account_id)s.")


class IdempotencyKeyReusedError(DomainError):
    code = "idempotency_key_reused"
    http_status = 409
    message = _("This idempotency key already stands for another movement of quota.")
    remedy = _("Use a new key for a new movement.")


class QuotaTooLargeError(DomainError):
    code = "quota_too_large"
    http_status = 422
    message = _("The amount or the balance after it would be too large.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One movement to write: ``amount`` in quota units, positive to give, negative to take."""

    account_id: int
    kind: EntryKind
    amount: int
    actor_id: int | None = None
    memo: str = ""
    reference: str = ""
    idempotency_key: str | None = None
    reverses_id: int | None = None
    """The entry that is taken back; it belongs to the same account."""


_COLUMNS = (
    "account_id",
    "kind",
    "amount",
    "balance_after",
    "actor_id",
    "memo",
    "reference",
    "idempotency_key",
    "created_at",
)
_ALL_COLUMNS = (*_COLUMNS, "reverses_id")
_LOCKED = ("user_id", "balance")
_SAME = ("account_id", "kind", "amount", "reverses_id")
"""What a movement that is sent again has in common with the first."""


def lock_account(batch: Batch, account_id: int) -> Answer:
    """Take an account's lock until the end of the transaction; it is had once the answer is read."""
    return lock_rows(batch, QuotaAccount, _LOCKED, [account_id])


def balance_of(batch: Batch, account_id: int, locked: Answer) -> int:
    """The balance of an account that is locked, and opened where there is none.

    :param locked: from :func:`lock_account`
    """
    rows = locked.fetchall()
    if not rows:
        columns = ("user_id", "balance", "held", "used_quota", "request_count")
        insert_rows(batch, QuotaAccount, columns, [(account_id, 0, 0, 0, 0)], suffix="ON CONFLICT DO NOTHING")
        rows = lock_account(batch, account_id).fetchall()
    return int(rows[0][1])


def post(*, postings: Sequence[Posting], at: datetime) -> list[LedgerEntry]:
    """Write movements and the balances after them, all or none, inside the caller's transaction.

    A posting whose idempotency key already stands for the same movement is not written
    again: the first entry comes back in its place.

    :returns: one entry a posting, in their order
    :raises UnknownAccountError: if an account does not exist
    :raises IdempotencyKeyReusedError: if a key stands for another movement
    :raises QuotaTooLargeError: if an amount or a balance would pass 2^53 − 1
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("ledger.post needs a transaction around it")
    batch = Statements()
    locked = lock_rows(batch, QuotaAccount, _LOCKED, (posting.account_id for posting in postings))
    balances: dict[int, int] = dict(locked.fetchall())
    known = _entries_by_key(postings)
    entries = [_known_entry(posting, known) or _next_entry(posting, balances, at) for posting in postings]
    fresh = [entry for entry in entries if entry.pk is None]
    if fresh:
        _insert_entries(batch, fresh)
        rows = sorted({(entry.account_id, balances[entry.account_id]) for entry in fresh})
        update_rows(batch, QuotaAccount, _LOCKED, "balance = v.v1", rows)
    return entries


def post_one(batch: Batch, posting: Posting, *, balance: int, at: datetime) -> LedgerEntry:
    """As :func:`post`, for one movement without an idempotency key, in a transaction of few round trips.

    :param balance: of the account, which is locked
    :raises QuotaTooLargeError: if the amount or the balance after it would pass 2^53 − 1
    """
    entry = _next_entry(posting, {posting.account_id: balance}, at)
    _insert_entries(batch, [entry])
    update_rows(batch, QuotaAccount, _LOCKED, "balance = v.v1", [(entry.account_id, entry.balance_after)])
    return entry


def find_replay(idempotency_key: str | None) -> LedgerEntry | None:
    """The entry that was written under a key; call it with the account locked."""
    if idempotency_key is None:
        return None
    entry = LedgerEntry.objects.filter(idempotency_key=idempotency_key).first()
    if entry is not None:
        entry.is_replay = True
    return entry


def insert_usage(batch: Batch, charges: Sequence[tuple[int, int, int]], at: datetime) -> None:
    """Send the entries of served calls, one an account; ``billing.services.calls`` has the locks.

    :param charges: account id, quota units charged, balance after
    """
    rows = [
        (account_id, EntryKind.USAGE.value, -quota, balance, None, "", "", None, at)
        for account_id, quota, balance in charges
    ]
    insert_rows(batch, LedgerEntry, _COLUMNS, rows)


def _insert_entries(batch: Batch, entries: Sequence[LedgerEntry]) -> None:
    """Insert entries, in their order, and set their primary keys.

    :raises IdempotencyKeyReusedError: if another account's movement took a key at this very moment
    """
    rows = [[getattr(entry, column) for column in _ALL_COLUMNS] for entry in entries]
    suffix = "ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id"
    ids = sorted(
        row[0] for row in insert_rows(batch, LedgerEntry, _ALL_COLUMNS, rows, suffix=suffix).fetchall()
    )
    if len(ids) != len(entries):
        raise IdempotencyKeyReusedError
    for entry, pk in zip(entries, ids, strict=True):
        entry.pk = pk


def _entries_by_key(postings: Sequence[Posting]) -> dict[str | None, LedgerEntry]:
    keys = [posting.idempotency_key for posting in postings if posting.idempotency_key is not None]
    if not keys:
        return {}
    return {entry.idempotency_key: entry for entry in LedgerEntry.objects.filter(idempotency_key__in=keys)}


def _known_entry(posting: Posting, known: dict[str | None, LedgerEntry]) -> LedgerEntry | None:
    entry = known.get(posting.idempotency_key) if posting.idempotency_key is not None else None
    if entry is None:
        return None
    if any(getattr(entry, name) != getattr(posting, name) for name in _SAME):
        raise IdempotencyKeyReusedError
    entry.is_replay = True
    return entry


def _next_entry(posting: Posting, balances: dict[int, int], at: datetime) -> LedgerEntry:
    if posting.account_id not in balances:
        raise UnknownAccountError(account_id=posting.account_id)
    balance = balances[posting.account_id] + posting.amount
    if abs(posting.amount) > MAX_QUOTA or abs(balance) > MAX_QUOTA:
        raise QuotaTooLargeError
    balances[posting.account_id] = balance
    return LedgerEntry(
        account_id=posting.account_id,
        kind=posting.kind,
        amount=posting.amount,
        balance_after=balance,
        actor_id=posting.actor_id,
        memo=posting.memo,
        reference=posting.reference,
        idempotency_key=posting.idempotency_key,
        reverses_id=posting.reverses_id,
        created_at=at,
    )
