"""Set-based statements that PostgreSQL and SQLite both understand.

The hot path writes hundreds of rows in one transaction. Django's ORM spends more time
compiling such rows than the database spends storing them, and it has no ``UPDATE … FROM``;
these few helpers build the statements from model classes, so that table and column names
still have one source. The text of a statement does not depend on how many rows it takes:
drivers and databases then prepare it once.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from django.db import connection, models, transaction

from oneapi_admin.lib.pipeline import Pipeline, pipelined_transaction

Rows = Sequence[Sequence[Any]]
_TEXTS = ("varchar", "text")


class Answer(Protocol):
    """What a statement returns."""

    def fetchall(self) -> list[Any]:
        """Its rows; once."""


class Statements:
    """Statements in a transaction that Django knows of, each answered at once."""

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Answer:
        """Run a statement; its answer can be fetched when it is needed."""
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return _Fetched(cursor.fetchall() if cursor.description else [])


@dataclass(slots=True)
class _Fetched:
    rows: list[Any]

    def fetchall(self) -> list[Any]:
        return self.rows


Batch = Statements | Pipeline


@contextmanager
def durable_batch() -> Iterator[Batch]:
    """One transaction in as few round trips as it can have.

    On PostgreSQL a statement is sent without waiting for the answers to those before it (the
    protocol's pipeline mode), and is prepared once a connection. An answer is waited for when it
    is fetched; an error comes up at the next fetch or at the commit, and then nothing is written.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        with transaction.atomic(durable=True):  # refuses to be part of another transaction
            yield Statements()
        return
    connection.ensure_connection()
    with connection.wrap_database_errors, pipelined_transaction(connection.connection) as pipeline:
        yield pipeline


@contextmanager
def joined_batch() -> Iterator[Batch]:
    """As :func:`durable_batch`; within a transaction of the caller's it is a part of that one."""
    if connection.in_atomic_block:
        with transaction.atomic():
            yield Statements()
        return
    with durable_batch() as batch:
        yield batch


def table(model: type[models.Model]) -> str:
    """The model's quoted table name."""
    return connection.ops.quote_name(model._meta.db_table)


def insert_rows(
    batch: Batch,
    model: type[models.Model],
    columns: Sequence[str],
    rows: Rows,
    *,
    computed: tuple[str, str] | None = None,
    suffix: str = "",
) -> Answer:
    """Insert all rows with one statement.

    :param computed: one more column and the expression for it; ``v.v0``, ``v.v1`` … are a row's values
    :param suffix: takes ``ON CONFLICT …`` or ``RETURNING …``
    """
    source = _source(connection.vendor, model, tuple(columns))
    statement = _insert(source, model, tuple(columns), computed, suffix)
    return batch.execute(statement, _parameters(source, rows))


def upsert_sums(
    batch: Batch, model: type[models.Model], key: Sequence[str], sums: Sequence[str], rows: Rows
) -> None:
    """Add each row's ``sums`` to the row with the same ``key``, inserting it when there is none.

    Callers pass rows sorted by key: processes that meet on the same rows then lock them in one order.
    """
    name = table(model)
    updates = ",".join(f"{column} = {name}.{column} + excluded.{column}" for column in sums)
    suffix = f"ON CONFLICT ({','.join(key)}) DO UPDATE SET {updates}"
    insert_rows(batch, model, [*key, *sums], rows, suffix=suffix)


def update_rows(
    batch: Batch, model: type[models.Model], columns: Sequence[str], assignments: str, rows: Rows
) -> None:
    """Update many rows with one statement; with no rows there is none.

    :param columns: what ``rows`` hold, the key first; the others are columns whose types they have
    :param assignments: the ``SET`` list; ``v.v1``, ``v.v2`` … are the values after the key
    """
    if not rows:
        return
    source = _source(connection.vendor, model, tuple(columns))
    batch.execute(_update(source, model, columns[0], assignments), _parameters(source, rows))


def lock_rows(batch: Batch, model: type[models.Model], columns: Sequence[str], keys: Iterable[int]) -> Answer:
    """Lock rows in the order of their keys, the first of ``columns``; their columns can be fetched.

    The lock leaves room for the foreign keys that point to the row. On SQLite the transaction
    itself, begun as IMMEDIATE, is the lock.
    """
    return batch.execute(
        f"SELECT {','.join(columns)} FROM {table(model)}"
        f" WHERE {is_any(columns[0], 'bigint')} ORDER BY {columns[0]} {for_no_key_update()}",
        [any_of(sorted(set(keys)))],
    )


def for_no_key_update() -> str:
    """The lock at the end of a ``SELECT``; SQLite's IMMEDIATE transaction needs none."""
    return "FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""


def is_any(column: str, kind: str) -> str:
    """A condition that holds for the values of :func:`any_of`, its one parameter.

    :param kind: of the column: ``bigint`` or ``text``
    """
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s::{kind}[])"
    return f"{column} IN (SELECT value FROM json_each(%s))"


def each(kind: str) -> str:
    """A query for the values of :func:`any_of`, its one parameter, as rows."""
    if connection.vendor == "postgresql":
        return f"SELECT unnest(%s::{kind}[])"
    return "SELECT value FROM json_each(%s)"


def any_of(values: Iterable[int] | Iterable[str]) -> str:
    """The parameter of :func:`is_any` and :func:`each`."""
    listed: list[Any] = list(values)
    if connection.vendor == "postgresql":
        return _array(listed, is_text=bool(listed) and isinstance(listed[0], str))
    return json.dumps(listed)


def moment(value: datetime | None) -> datetime | None:
    """A time as a raw cursor returns it; SQLite keeps it in UTC without saying so."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


class _Source(NamedTuple):
    """A query that gives its parameters back as rows with the columns v0, v1 and so on."""

    query: str
    is_text: tuple[bool, ...] = ()
    """On PostgreSQL, where each column is a parameter: whether it is a text. Empty on SQLite."""


@lru_cache(maxsize=64)
def _source(vendor: str, model: type[models.Model], columns: tuple[str, ...]) -> _Source:
    if vendor != "postgresql":
        values = ",".join(f"json_extract(value, '$[{index}]') AS v{index}" for index in range(len(columns)))
        return _Source(f"SELECT {values} FROM json_each(%s)")
    types = [_type(model, column) for column in columns]
    arrays = ",".join(f"%s::{kind}[]" for kind in types)
    names = ",".join(f"v{index}" for index in range(len(columns)))
    return _Source(f"SELECT * FROM unnest({arrays}) AS u({names})", tuple(kind == "text" for kind in types))


@lru_cache(maxsize=64)
def _insert(
    source: _Source,
    model: type[models.Model],
    columns: tuple[str, ...],
    computed: tuple[str, str] | None,
    suffix: str,
) -> str:
    values = "v.*"
    if computed is not None:
        columns, values = (*columns, computed[0]), f"v.*, {computed[1]}"
    # "WHERE true" tells SQLite's parser that ON CONFLICT belongs to the insertion.
    rows = f"SELECT {values} FROM ({source.query}) AS v WHERE true"
    return f"INSERT INTO {table(model)} ({','.join(columns)}) {rows} {suffix}"


@lru_cache(maxsize=64)
def _update(source: _Source, model: type[models.Model], key: str, assignments: str) -> str:
    return f"UPDATE {table(model)} AS t SET {assignments} FROM ({source.query}) AS v WHERE t.{key} = v.v0"


def _parameters(source: _Source, rows: Rows) -> list[str]:
    """The rows as few long texts: drivers adapt a text in no time, and thousands of values one by one."""
    if source.is_text:
        columns = zip(*rows, strict=True)
        return [
            _array(values, is_text=is_text) for values, is_text in zip(columns, source.is_text, strict=True)
        ]
    if any(type(value) is int and not -(2**63) <= value < 2**63 for row in rows for value in row):
        raise OverflowError("a number does not fit into the database")  # JSON would make it a float
    return [json.dumps(rows, default=_as_json, ensure_ascii=False)]  # the driver refuses half characters


def _array(values: Sequence[Any], *, is_text: bool) -> str:
    """PostgreSQL's text form of an array; numbers, times and booleans read as Python prints them."""
    if not is_text:
        return "{" + ",".join(map(str, values)).replace("None", "NULL") + "}"
    if None not in values:
        joined = '","'.join(values)
        if "\\" not in joined and joined.count('"') == 2 * len(values) - 2:
            return '{"' + joined + '"}' if values else "{}"
    return "{" + ",".join("NULL" if value is None else _quoted(value) for value in values) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _type(model: type[models.Model], column: str) -> str:
    field: Any = next(field for field in model._meta.concrete_fields if field.column == column)
    name = str(field.rel_db_type(connection) if field.is_relation else field.cast_db_type(connection))
    return "text" if name.startswith(_TEXTS) else name


def _as_json(value: Any) -> str:
    if isinstance(value, datetime):
        return str(connection.ops.adapt_datetimefield_value(value))
    if isinstance(value, Decimal | date):
        return str(value)
    raise TypeError(f"cannot pass {type(value).__name__} to the database")
