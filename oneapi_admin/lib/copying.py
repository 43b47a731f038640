"""Sending many rows to PostgreSQL at once, in the binary form of its COPY.

A row is the number of its fields and then, for each field, its length and its content; numbers are in network
byte order. Source: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

import struct
from collections.abc import Sequence

from django.db import connection, models
from psycopg.copy import LibpqWriter

from oneapi_admin.lib.sql import table

_BEGIN = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)


def length(size: int) -> bytes:
    """What stands before a field of so many bytes."""
    return struct.pack(">i", size)


def field(content: bytes) -> bytes:
    """A field of bytes or of text in UTF-8."""
    return length(len(content)) + content


def bigint(number: int) -> bytes:
    """A field of 64 bits."""
    return struct.pack(">iq", 8, number)


def integer(number: int) -> bytes:
    """A field of 32 bits."""
    return struct.pack(">ii", 4, number)


def row(fields: int) -> bytes:
    """What stands before a row of so many fields."""
    return struct.pack(">h", fields)


def copy_in(model: type[models.Model], columns: Sequence[str], rows: bytes) -> None:
    """Store rows, in the transaction that is open.

    :param rows: as made of the functions above, one after the other
    """
    statement = f"COPY {table(model)} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    with connection.wrap_database_errors, connection.cursor() as cursor:
        # All is handed to libpq before anything is waited for: each wait, psycopg's usual after 1 MiB,
        # is also one for the interpreter's lock, which a thread that makes the next rows has.
        writer = LibpqWriter(cursor.cursor, flush_threshold=len(rows))
        with cursor.copy(statement, writer=writer) as copy:
            copy.write(_BEGIN + rows + _END)
