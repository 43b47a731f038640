"""Rows sent to PostgreSQL by its COPY arrive as they were."""

import secrets

import pytest
from django.db import IntegrityError, connection, transaction

from oneapi_admin.lib import copying
from redemption.models import SealedCodes
from tests.factories import make_batch

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("postgresql" not in connection.vendor, reason="COPY is PostgreSQL's"),
]
COLUMNS = ("batch_id", "number", "content")


def sent(*rows: tuple[int, int, bytes]) -> bytes:
    return b"".join(
        copying.row(3) + copying.bigint(batch) + copying.integer(number) + copying.field(content)
        for batch, number, content in rows
    )


@pytest.fixture
def batch_id() -> int:
    batch = make_batch(count=1)
    SealedCodes.objects.all().delete()
    return batch.pk


def test_rows_are_stored_as_they_were_sent(batch_id: int) -> None:
    contents = [b"", b"\0", b"\xff\xff", b"\\.\n", secrets.token_bytes(3_000_000)]
    rows = [(batch_id, number, content) for number, content in enumerate(contents, start=2**31 - 6)]

    with transaction.atomic():
        copying.copy_in(SealedCodes, COLUMNS, sent(*rows))

    stored = SealedCodes.objects.order_by("number").values_list("batch_id", "number", "content")
    assert [(key, number, bytes(content)) for key, number, content in stored] == rows


def test_no_rows_are_stored_without_complaint() -> None:
    with transaction.atomic():
        copying.copy_in(SealedCodes, COLUMNS, b"")

    assert not SealedCodes.objects.exists()


def test_a_row_that_is_refused_undoes_the_others_and_leaves_a_connection(batch_id: int) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        copying.copy_in(SealedCodes, COLUMNS, sent((batch_id, 1, b"x"), (batch_id, 1, b"y")))

    assert not SealedCodes.objects.exists()
