"""The audit's own connection: its scratch tables, its view of the database, and which rows are settled."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from django.db import connection, transaction

_PREPARE = {
    # The server's memory, for sorting; for hashing it takes twice as much.
    "postgresql": ["SET work_mem = '32MB'"],
    # This process's memory: what does not fit goes into temporary files (SQLITE_TMPDIR, else /var/tmp).
    "sqlite": ["PRAGMA temp_store = FILE", "PRAGMA cache_size = -32768"],
}
_BEGIN_VIEW = {
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "sqlite": "BEGIN DEFERRED",
}
_NEWEST = """
SELECT COALESCE((SELECT MAX(id) FROM billing_usagerecord), 0),
       COALESCE((SELECT MAX(id) FROM billing_ledgerentry), 0)"""
_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND relation IN ('billing_usagerecord'::regclass, 'billing_ledgerentry'::regclass)
  AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"""
_POLL_SECONDS = 0.05


class Position(NamedTuple):
    """A call's and an entry's id."""

    call_id: int
    entry_id: int


class Session:
    """A connection of the audit's own, so that scratch tables and settings end with it.

    :raises TransactionManagementError: within a transaction, of which it would see nothing
    """

    def __init__(self) -> None:
        if connection.in_atomic_block:
            raise transaction.TransactionManagementError("an audit proves what is committed")
        self._connection = connection.copy()
        self.vendor = self._connection.vendor

    def __enter__(self) -> Self:
        for statement in _PREPARE[self.vendor]:
            self.execute(statement)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> int:
        """Run a statement, by itself one transaction; return how many rows it changed."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return int(cursor.rowcount)

    def row(self, query: str, parameters: Sequence[Any] | None = None) -> tuple[Any, ...]:
        """The first row."""
        with self._connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return tuple(cursor.fetchone())

    def stream(self, query: str, parameters: Sequence[Any] | None = None) -> Iterator[list[tuple[Any, ...]]]:
        """All rows, some at a time, so that this process never has them all."""
        with self._connection.chunked_cursor() as cursor:
            cursor.execute(query, parameters)
            while rows := cursor.fetchmany(2000):
                yield rows

    def column(self, query: str, parameters: Sequence[Any] | None = None) -> Iterator[Any]:
        """The first column of all rows, as :meth:`stream`."""
        for rows in self.stream(query, parameters):
            yield from (row[0] for row in rows)

    @contextmanager
    def view(self) -> Iterator[None]:
        """One unchanging view for all queries inside; scratch tables can be written.

        Writers go on meanwhile. While it is open, PostgreSQL keeps dead rows that it would clean up, and
        SQLite's WAL grows: it is for what cannot be read piece by piece.
        """
        self.execute(_BEGIN_VIEW[self.vendor])
        try:
            yield
        finally:
            self.execute("COMMIT")

    def settled(self, *, wait_seconds: float) -> Position | None:
        """Up to which ids every call and every entry that will ever be there can be seen from now on.

        PostgreSQL gives out ids in order, but transactions end in any order. One that has an id up to the
        newest visible one took its lock on the table before it drew that id, and has it until after its
        end can be seen (as ``CREATE INDEX CONCURRENTLY``, this relies on it). So: read the newest ids, then
        see who holds such locks, then wait until they are gone; new ones do not matter. SQLite has one
        writer, and its ids are committed in their order.

        :returns: None if a transaction that was writing did not end in time
        """
        position = Position(*self.row(_NEWEST))
        writers = self._writers()
        deadline = time.monotonic() + wait_seconds
        while writers:
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)
            writers &= self._writers()
        return position

    def _writers(self) -> set[str]:
        return set(self.column(_WRITERS)) if self.vendor == "postgresql" else set()
