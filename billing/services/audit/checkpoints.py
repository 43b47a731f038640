"""What clean audits have proved: kept, sealed, found again, and forgotten when something newer stands for it.

A checkpoint is never changed. An audit adds one on top of those it trusted, or a first one when it read
everything; whoever is still reading older ones can go on, since they are forgotten a day later.
"""

import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import structlog
from django.conf import settings

from billing.models import AuditCheckpoint
from billing.services.audit.session import Position, Session
from billing.services.audit.sums import ACCOUNTS, SETTLED, TABLES, Ids, SumsTable
from oneapi_admin.lib.secrets import keyed_digest

logger = structlog.get_logger(__name__)

_PURPOSE = "audit checkpoint"
_KEPT = timedelta(days=1)
_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The checkpoints, oldest first, that an audit builds on; none when it reads everything."""

    lineage: tuple[AuditCheckpoint, ...] = ()

    @classmethod
    def newest(cls, session: Session) -> Self:
        """The newest checkpoint with all it is built on, if they are as the audits left them."""
        lineage = _newest_lineage()
        seal = ""
        for checkpoint in lineage:
            expected = _seals(checkpoint, seal, _content_digest(session, checkpoint))
            if not any(hmac.compare_digest(checkpoint.seal, one) for one in expected):
                logger.warning("billing.audit_checkpoint_refused", checkpoint=checkpoint.pk)
                return cls()
            seal = checkpoint.seal
        return cls(lineage=lineage)

    @property
    def ids(self) -> list[int]:
        return [checkpoint.pk for checkpoint in self.lineage]

    @property
    def position(self) -> Position:
        if not self.lineage:
            return Position(0, 0)
        return Position(self.lineage[-1].last_call_id, self.lineage[-1].last_entry_id)

    @property
    def calls(self) -> int:
        return sum(checkpoint.calls for checkpoint in self.lineage)

    @property
    def entries(self) -> int:
        return sum(checkpoint.entries for checkpoint in self.lineage)


def keep(
    session: Session, *, base: Base, position: Position, calls: int, entries: int, at: datetime
) -> AuditCheckpoint:
    """Write down what a clean audit read of the settled rows.

    Only the seal, which comes last, makes it count: killed in between, it leaves the others as they were.
    """
    parent = base.lineage[-1] if base.lineage else None
    checkpoint = AuditCheckpoint.objects.create(
        parent=parent,
        last_call_id=position.call_id,
        last_entry_id=position.entry_id,
        calls=calls,
        entries=entries,
        created_at=at,
    )
    for table in TABLES:
        _copy(session, table, checkpoint.pk)
    digest = _content_digest(session, checkpoint)
    checkpoint.seal = _seals(checkpoint, parent.seal if parent else "", digest)[0]
    checkpoint.save(update_fields=["seal"])
    return checkpoint


def forget_superseded(session: Session, *, at: datetime) -> None:
    """Delete checkpoints that nothing builds on any more, unless they were in use within the last day."""
    lineage = _newest_lineage()
    root = lineage[0] if lineage else None
    current = {checkpoint.pk for checkpoint in lineage}
    for checkpoint in AuditCheckpoint.objects.exclude(pk__in=current).order_by("-pk"):
        times = [checkpoint.created_at]
        if root is not None and checkpoint.pk < root.pk:
            times.append(root.created_at)
        if max(times) < at - _KEPT:
            _forget(session, checkpoint)


def _newest_lineage() -> tuple[AuditCheckpoint, ...]:
    sealed = {checkpoint.pk: checkpoint for checkpoint in AuditCheckpoint.objects.exclude(seal="")}
    lineage = []
    current = sealed.get(max(sealed, default=0))
    while current is not None:
        lineage.append(current)
        current = sealed.get(current.parent_id) if current.parent_id else None
    return tuple(reversed(lineage))


def _seals(checkpoint: AuditCheckpoint, parent_seal: str, digest: str) -> list[str]:
    """The seals it may have, by the current key and by those it replaced."""
    created_at = checkpoint.created_at.astimezone(UTC).isoformat(timespec="microseconds")
    numbers = (checkpoint.last_call_id, checkpoint.last_entry_id, checkpoint.calls, checkpoint.entries)
    text = " ".join(map(str, (parent_seal, *numbers, created_at, digest)))
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [keyed_digest(_PURPOSE, key, text) for key in keys]


def _content_digest(session: Session, checkpoint: AuditCheckpoint) -> str:
    digest = hashlib.sha256()
    for table in TABLES:
        row = " || ' ' || ".join(f"CAST({name} AS text)" for name in _texts_last(table))
        query = f"SELECT {row} FROM {table.stored} WHERE checkpoint_id = {checkpoint.pk} ORDER BY id"
        for rows in session.stream(query):
            digest.update("".join(f"{text}\0" for (text,) in rows).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _texts_last(table: SumsTable) -> Sequence[str]:
    """Its columns; the only one that may have spaces in it comes last."""
    return sorted((*table.keys, *table.sums), key=lambda name: name == "model")


def _compacted(table: SumsTable) -> str:
    """A query for the settled sums, one row a key."""
    if table is ACCOUNTS:
        return f"""
            SELECT a.account_id, SUM(a.entries) AS entries, SUM(a.amount) AS amount,
                   MAX(k.last_entry_id) AS last_entry_id, MAX(k.balance_after) AS balance_after
            FROM {table.scratch} a JOIN audit_chains k ON k.account_id = a.account_id
            WHERE a.part = {SETTLED} GROUP BY a.account_id"""
    keys, sums = ", ".join(table.keys), ", ".join(f"SUM({name}) AS {name}" for name in table.sums)
    return f"SELECT {keys}, {sums} FROM {table.scratch} WHERE part = {SETTLED} GROUP BY {keys}"


def _copy(session: Session, table: SumsTable, checkpoint_id: int) -> None:
    """Write the settled sums into the checkpoint; on SQLite few at a time, since writers take turns."""
    target = f"INSERT INTO {table.stored} (checkpoint_id, {table.columns})"
    if session.vendor == "postgresql":
        session.execute(f"{target} SELECT {checkpoint_id}, {table.columns} FROM ({_compacted(table)}) c")
        return
    compact = f"{table.scratch}_compact"
    session.execute(f"CREATE TEMPORARY TABLE {compact} AS {_compacted(table)}")
    [last] = session.row(f"SELECT COALESCE(MAX(rowid), 0) FROM {compact}")
    for rows in Ids(0, last).pieces(_ROWS_AT_ONCE):
        condition = rows.condition("rowid")
        _take_turn(
            session, f"{target} SELECT {checkpoint_id}, {table.columns} FROM {compact} WHERE {condition}"
        )


def _forget(session: Session, checkpoint: AuditCheckpoint) -> None:
    for table in TABLES:
        some = f"SELECT id FROM {table.stored} WHERE checkpoint_id = {checkpoint.pk} LIMIT {_ROWS_AT_ONCE}"
        while _take_turn(session, f"DELETE FROM {table.stored} WHERE id IN ({some})"):
            pass
    checkpoint.delete()


def _take_turn(session: Session, statement: str) -> int:
    """Write once; on SQLite then leave the lock free for as long as that took.

    SQLite's lock has no queue: who waits looks again now and then, each 100 ms in the end, and would nearly
    always find it taken if the next portion followed at once.
    """
    began = time.monotonic()
    count = session.execute(statement)
    if session.vendor == "sqlite":
        time.sleep(time.monotonic() - began)
    return count
