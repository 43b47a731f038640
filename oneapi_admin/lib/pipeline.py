"""Short transactions on PostgreSQL in few round trips and little work a statement.

psycopg's own pipeline mode spends 45 µs of processor time on every statement and lets go of the
interpreter's lock as often, which a busy thread beside it makes it wait for. This one collects
statements and talks to the server when an answer is wanted, through the same wrapper of libpq and
with psycopg's generators, errors and loaders (psycopg.org/psycopg3/docs/api/pq.html,
postgresql.org/docs/current/libpq-pipeline-mode.html).
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import errors, generators
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)
_PLACEHOLDER = re.compile("%s")
_prepared: WeakKeyDictionary["psycopg.Connection[Any]", dict[str, bytes]] = WeakKeyDictionary()
"""The names of the statements that a connection's server knows."""


class PipelineAnswer:
    """What a statement returns; fetching it sends what waits to be sent."""

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline = pipeline
        self.result: PGresult | None = None

    def fetchall(self) -> list[Any]:
        if self.result is None:
            self._pipeline.flush()
        return self._pipeline.rows_of(self.result) if self.result is not None else []


class Pipeline:
    """The statements of one transaction; see :func:`pipelined_transaction`."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._names = _prepared.setdefault(connection, {})
        self._is_preparing = connection.prepare_threshold is not None
        self._sent: deque[PipelineAnswer | None] = deque()
        """Whose answers are still to come; None for those that nobody asks for."""
        self._transformer = Transformer(connection)

    def execute(self, statement: str, parameters: Sequence[str] = ()) -> PipelineAnswer:
        """Queue a statement with ``%s`` for its parameters, which are texts and cast in the statement.

        :raises ValueError: if a parameter is no text that PostgreSQL can store
        """
        values = [_encoded(parameter) for parameter in parameters]
        if not self._is_preparing:
            self._pgconn.send_query_params(_numbered(statement), values)
        else:
            name = self._names.get(statement)
            if name is None:
                name = self._names[statement] = f"batch_{len(self._names)}".encode()
                self._pgconn.send_prepare(name, _numbered(statement))
                self._sent.append(None)
            self._pgconn.send_query_prepared(name, values)
        answer = PipelineAnswer(self)
        self._sent.append(answer)
        return answer

    def begin(self) -> None:
        """Begin the transaction; a connection's first one lets statements be planned once and for all.

        PostgreSQL would plan those of few rows anew each time: for one row it expects a saving, and
        planning takes a fifth of its time.
        """
        is_first = self._is_preparing and not self._names
        self.execute("BEGIN")
        if is_first:
            self.execute("SET plan_cache_mode = force_generic_plan")

    def flush(self) -> None:
        """Send everything queued and read the answers.

        :raises psycopg.Error: the first error among them
        """
        self._pgconn.send_flush_request()
        self._connection.wait(self._exchange())

    def end(self) -> None:
        """As :meth:`flush`, and leave the server ready for other statements."""
        self._pgconn.pipeline_sync()
        self._sent.append(None)
        self._connection.wait(self._exchange())

    def rows_of(self, result: PGresult) -> list[Any]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _exchange(self) -> PQGen[None]:
        yield from generators.send(self._pgconn)
        failed: PGresult | None = None
        while self._sent:
            [result] = yield from generators.fetch_many(self._pgconn)
            answer = self._sent.popleft()
            if result.status in _FAILED:
                failed = failed or result  # the statements after it were not run
            elif answer is not None:
                answer.result = result
        if failed is not None:
            raise errors.error_from_result(failed, encoding=self._connection.info.encoding)


@contextmanager
def pipelined_transaction(connection: "psycopg.Connection[Any]") -> Iterator[Pipeline]:
    """A transaction that is durable when the block ends without an error, and undone when there is one.

    :param connection: in autocommit mode, and in no transaction
    :raises psycopg.Error: what went wrong in a statement or in the commit
    """
    pipeline = Pipeline(connection)
    connection.pgconn.enter_pipeline_mode()
    try:
        pipeline.begin()
        yield pipeline
        commit = pipeline.execute("COMMIT")
        pipeline.end()
        connection.pgconn.exit_pipeline_mode()
    except BaseException:
        _recover(connection, pipeline)
        raise
    ending = commit.result.command_status if commit.result is not None else None
    if ending != b"COMMIT":
        raise psycopg.OperationalError(f"the transaction ended with {ending!r}")


def _recover(connection: "psycopg.Connection[Any]", pipeline: Pipeline) -> None:
    """Leave a connection that can be used again, or a closed one."""
    _prepared.pop(connection, None)
    try:
        try:
            pipeline.end()
        except psycopg.Error:  # the error that brought us here, or one that it caused
            if connection.pgconn.status == ConnStatus.BAD:
                raise
        connection.pgconn.exit_pipeline_mode()
        if connection.info.transaction_status != TransactionStatus.IDLE:
            connection.rollback()
        connection.execute("DEALLOCATE ALL")
    except psycopg.Error:
        connection.close()


@lru_cache(maxsize=64)
def _numbered(statement: str) -> bytes:
    """The statement with ``$1``, ``$2`` … in place of ``%s``."""
    numbers = iter(range(1, statement.count("%s") + 1))
    return _PLACEHOLDER.sub(lambda _match: f"${next(numbers)}", statement).encode()


def _encoded(parameter: str) -> bytes:
    if "\0" in parameter:  # libpq would end the text there
        raise ValueError("a text with a NUL character cannot be stored")
    return parameter.encode()
