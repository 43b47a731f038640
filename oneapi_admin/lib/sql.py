"""Set-based statements that PostgreSQL and SQLite both understand.

The hot path writes hundreds of rows in one transaction. Django's ORM spends more time
compiling such rows than the database spends storing them, and it has no ``UPDATE … FROM``;
these few helpers build the statements from model classes, so that table and column names
still have one source. The text of a statement does not depend on how many rows it takes:
drivers and databases then prepare it once.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.db import connection, models
from django.db.backends.utils import CursorWrapper

Rows = Sequence[Sequence[Any]]


def table(model: type[models.Model]) -> str:
    """The model's quoted table name."""
    return connection.ops.quote_name(model._meta.db_table)


def insert_rows(
    cursor: CursorWrapper, model: type[models.Model], columns: Sequence[str], rows: Rows, *, suffix: str = ""
) -> None:
    """Insert all rows with one statement; ``suffix`` takes ``ON CONFLICT …`` or ``RETURNING …``."""
    cursor.execute(_insert(connection.vendor, model, tuple(columns), suffix), _parameters(rows))


def upsert_sums(
    cursor: CursorWrapper,
    model: type[models.Model],
    key: Sequence[str],
    sums: Sequence[str],
    rows: Rows,
) -> None:
    """Add each row's ``sums`` to the row with the same ``key``, inserting it when there is none.

    Callers pass rows sorted by key: processes that meet on the same rows then lock them in one order.
    """
    name = table(model)
    updates = ",".join(f"{column} = {name}.{column} + excluded.{column}" for column in sums)
    suffix = f"ON CONFLICT ({','.join(key)}) DO UPDATE SET {updates}"
    insert_rows(cursor, model, [*key, *sums], rows, suffix=suffix)


def update_rows(
    cursor: CursorWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    assignments: str,
    rows: Rows,
) -> None:
    """Update many rows with one statement.

    :param columns: what ``rows`` hold, the key first; the others are columns whose types they have
    :param assignments: the ``SET`` list; ``v.v1``, ``v.v2`` … are the values after the key
    """
    cursor.execute(_update(connection.vendor, model, tuple(columns), assignments), _parameters(rows))


def lock_rows(
    cursor: CursorWrapper, model: type[models.Model], columns: Sequence[str], keys: Iterable[Any]
) -> list[tuple[Any, ...]]:
    """Lock rows in the order of their keys, the first of ``columns``, and return their columns.

    The lock leaves room for the foreign keys that point to the row. On SQLite the transaction
    itself, begun as IMMEDIATE, is the lock.
    """
    ordered = sorted(set(keys))
    if not ordered:
        return []
    suffix = " FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
    cursor.execute(
        f"SELECT {','.join(columns)} FROM {table(model)}"
        f" WHERE {is_any(columns[0])} ORDER BY {columns[0]}{suffix}",
        [any_of(ordered)],
    )
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def is_any(column: str) -> str:
    """A condition that holds for the values of :func:`any_of`, its one parameter."""
    if connection.vendor == "postgresql":
        return f"{column} = ANY(%s)"
    return f"{column} IN (SELECT value FROM json_each(%s))"


def any_of(values: Iterable[Any]) -> Any:
    """The parameter of :func:`is_any`."""
    return list(values) if connection.vendor == "postgresql" else json.dumps(list(values))


def moment(value: datetime | None) -> datetime | None:
    """A time as a raw cursor returns it; SQLite keeps it in UTC without saying so."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


@lru_cache(maxsize=64)
def _insert(vendor: str, model: type[models.Model], columns: tuple[str, ...], suffix: str) -> str:
    # "WHERE true" tells SQLite's parser that ON CONFLICT belongs to the insertion.
    source = f"SELECT * FROM ({_source(vendor, model, columns)}) AS v WHERE true"
    return f"INSERT INTO {table(model)} ({','.join(columns)}) {source} {suffix}"


@lru_cache(maxsize=64)
def _update(vendor: str, model: type[models.Model], columns: tuple[str, ...], assignments: str) -> str:
    return (
        f"UPDATE {table(model)} AS t SET {assignments}"
        f" FROM ({_source(vendor, model, columns)}) AS v WHERE t.{columns[0]} = v.v0"
    )


def _source(vendor: str, model: type[models.Model], columns: tuple[str, ...]) -> str:
    """A query that gives the parameters back as rows with the columns v0, v1 and so on."""
    if vendor == "postgresql":
        names = ",".join(f"v{index} {_type(model, column)}" for index, column in enumerate(columns))
        return f"SELECT * FROM json_to_recordset(%s::json) AS u({names})"
    values = ",".join(f"json_extract(value, '$[{index}]') AS v{index}" for index in range(len(columns)))
    return f"SELECT {values} FROM json_each(%s)"


def _parameters(rows: Rows) -> list[Any]:
    """All rows as one JSON text: drivers adapt a text in no time, and thousands of values one by one."""
    if any(type(value) is int and not -(2**63) <= value < 2**63 for row in rows for value in row):
        raise OverflowError("a number does not fit into the database")  # JSON would make it a float
    if connection.vendor == "postgresql":
        names = [f"v{index}" for index in range(len(rows[0]))]
        rows = [dict(zip(names, row, strict=True)) for row in rows]  # type: ignore[misc]
    return [json.dumps(rows, default=_as_json, ensure_ascii=False)]  # the driver refuses half characters


def _type(model: type[models.Model], column: str) -> str:
    field: Any = next(field for field in model._meta.concrete_fields if field.column == column)
    name = str(field.rel_db_type(connection) if field.is_relation else field.cast_db_type(connection))
    return "text" if name.startswith("varchar") else name


def _as_json(value: Any) -> str:
    if isinstance(value, Decimal | date):
        return str(value)
    raise TypeError(f"cannot pass {type(value).__name__} to the database")
