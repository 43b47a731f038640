"""Pipelined transactions on PostgreSQL: what they write, and how they end."""

import psycopg
import pytest
from django.db import OperationalError, connection

from oneapi_admin.lib.pipeline import Pipeline, pipelined_transaction
from oneapi_admin.lib.sql import durable_batch

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("postgresql" not in connection.vendor, reason="pipelines are PostgreSQL's"),
]


@pytest.fixture(autouse=True)
def numbers() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE IF NOT EXISTS numbers (number bigint UNIQUE, note text)")
        cursor.execute("TRUNCATE numbers")


def add(pipeline: Pipeline, number: int, note: str = "") -> None:
    pipeline.execute("INSERT INTO numbers VALUES (%s::bigint, %s)", [str(number), note])


def written() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM numbers ORDER BY number")
        return [number for (number,) in cursor.fetchall()]


def write(*numbers: int) -> None:
    with pipelined_transaction(connection.connection) as pipeline:
        for number in numbers:
            add(pipeline, number)


def test_answers_belong_to_their_statements_in_whatever_order_they_are_fetched() -> None:
    with pipelined_transaction(connection.connection) as pipeline:
        add(pipeline, 1)
        first = pipeline.execute("SELECT number, NULL::text FROM numbers")
        add(pipeline, 2)
        second = pipeline.execute("SELECT count(*), now() IS NULL FROM numbers WHERE number < %s::int", ["9"])

        assert second.fetchall() == [(2, False)]
        assert first.fetchall() == [(1, None)]

    assert written() == [1, 2]


def test_an_error_undoes_everything_and_names_its_cause() -> None:
    write(1)

    with pytest.raises(psycopg.errors.UniqueViolation):
        write(2, 1, 3)

    assert written() == [1]
    write(4)
    assert written() == [1, 4]


def test_an_error_comes_up_where_an_answer_is_fetched() -> None:
    fetched: list[object] = []

    with pytest.raises(psycopg.errors.DivisionByZero):
        divide(fetched)

    assert written() == []
    assert fetched == []


def divide(fetched: list[object]) -> None:
    with pipelined_transaction(connection.connection) as pipeline:
        add(pipeline, 1)
        fetched += pipeline.execute("SELECT 1 / 0").fetchall()
        fetched.append("never reached")


def test_a_transaction_whose_end_is_no_commit_is_an_error() -> None:
    with pytest.raises(psycopg.OperationalError, match="ROLLBACK"):
        end_early()

    assert written() == []


def end_early() -> None:
    """The server answers COMMIT with ROLLBACK when the transaction failed, and reports no error then."""
    with pipelined_transaction(connection.connection) as pipeline:
        add(pipeline, 1)
        pipeline.execute("ROLLBACK")
        pipeline.execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            pipeline.execute("SELECT 1 / 0").fetchall()
        pipeline.end()


def test_a_lot_goes_both_ways_at_once() -> None:
    text = "x" * 1_000_000

    with pipelined_transaction(connection.connection) as pipeline:
        answers = [pipeline.execute("SELECT repeat(%s, 4)", [text]) for _ in range(10)]
        sizes = [len(answer.fetchall()[0][0]) for answer in answers]

    assert sizes == [4_000_000] * 10


def test_no_text_is_cut_off_at_a_nul() -> None:
    with pytest.raises(ValueError, match="NUL"), pipelined_transaction(connection.connection) as pipeline:
        add(pipeline, 1, "a\0b")

    assert written() == []


def test_statements_need_not_be_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)

    write(1, 2)

    assert written() == [1, 2]


def test_a_statement_that_was_prepared_for_other_columns_is_prepared_anew() -> None:
    def read() -> list[tuple[object]]:
        with pipelined_transaction(connection.connection) as pipeline:
            rows: list[tuple[object]] = pipeline.execute("SELECT note FROM numbers").fetchall()
            return rows

    write(1)
    assert read() == [("",)]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE numbers ALTER COLUMN note TYPE integer USING 7")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        read()

    assert read() == [(7,)]


def test_when_the_server_hangs_up_nothing_is_written_and_the_next_connection_works() -> None:
    with pytest.raises(OperationalError), durable_batch() as batch:
        batch.execute("SELECT pg_terminate_backend(pg_backend_pid())").fetchall()

    connection.close()
    with durable_batch() as batch:
        assert batch.execute("SELECT 1").fetchall() == [(1,)]


def test_statements_are_planned_once_even_for_few_rows_and_after_an_error() -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        write(1, 1)

    for number in range(8):
        write(number)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement ~ 'numbers'"
        )
        assert cursor.fetchall() == [(8, 0)]
