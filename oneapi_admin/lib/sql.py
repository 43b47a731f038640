"""Set-based statements that PostgreSQL and SQLite both understand.

The hot path writes hundreds of rows in one transaction. Django's ORM spends more time
compiling such rows than the database spends storing them, and it has no ``UPDATE … FROM
(VALUES …)``; these few helpers build the statements from model classes, so that table and
column names still have one source.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, models
from django.db.backends.utils import CursorWrapper


def table(model: type[models.Model]) -> str:
    """The model's quoted table name."""
    return connection.ops.quote_name(model._meta.db_table)


def placeholders(rows: Sequence[Sequence[Any]]) -> str:
    """``(%s,%s),(%s,%s)`` for the rows."""
    row = "(" + ",".join(["%s"] * len(rows[0])) + ")"
    return ",".join([row] * len(rows))


def flat(rows: Iterable[Sequence[Any]]) -> list[Any]:
    """The parameters of :func:`placeholders`, row after row."""
    return [value for row in rows for value in row]


def insert_rows(
    cursor: CursorWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    suffix: str = "",
) -> None:
    """Insert all rows with one statement; ``suffix`` takes ``ON CONFLICT …`` or ``RETURNING …``."""
    cursor.execute(
        f"INSERT INTO {table(model)} ({','.join(columns)}) VALUES {placeholders(rows)} {suffix}",
        flat(rows),
    )


def upsert_sums(
    cursor: CursorWrapper,
    model: type[models.Model],
    key: Sequence[str],
    sums: Sequence[str],
    rows: Sequence[Sequence[Any]],
) -> None:
    """Add each row's ``sums`` to the row with the same ``key``, inserting it when there is none.

    Callers pass rows sorted by key: processes that meet on the same rows then lock them in one order.
    """
    name = table(model)
    updates = ",".join(f"{column} = {name}.{column} + excluded.{column}" for column in sums)
    insert_rows(
        cursor, model, [*key, *sums], rows, suffix=f"ON CONFLICT ({','.join(key)}) DO UPDATE SET {updates}"
    )


def update_from_values(
    cursor: CursorWrapper,
    model: type[models.Model],
    assignments: str,
    rows: Sequence[Sequence[Any]],
    *,
    pk: str = "id",
) -> None:
    """Update many rows with one statement.

    :param assignments: the ``SET`` list; ``v.column2``, ``v.column3`` … are the values after the key
    :param rows: the key first, then the values, all integers or timestamps
    """
    cursor.execute(
        f"UPDATE {table(model)} AS t SET {assignments}"
        f" FROM (VALUES {placeholders(rows)}) AS v WHERE t.{pk} = v.column1",
        flat(rows),
    )


def lock_rows(
    cursor: CursorWrapper,
    model: type[models.Model],
    columns: Sequence[str],
    keys: Iterable[Any],
    *,
    pk: str = "id",
) -> list[tuple[Any, ...]]:
    """Lock rows in the order of their keys and return their columns.

    On SQLite the transaction itself, begun as IMMEDIATE, is the lock.
    """
    ordered = sorted(set(keys))
    if not ordered:
        return []
    suffix = " FOR UPDATE" if connection.features.has_select_for_update else ""
    cursor.execute(
        f"SELECT {','.join(columns)} FROM {table(model)} WHERE {pk} IN ({','.join(['%s'] * len(ordered))})"
        f" ORDER BY {pk}{suffix}",
        ordered,
    )
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
