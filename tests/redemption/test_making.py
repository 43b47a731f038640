"""Making the codes of a batch: all of them or none, once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection

from billing.services.audit import audit_ledger
from redemption import code_format, tasks
from redemption.models import CodeBatch, RedemptionCode, SealedCodes
from redemption.services import batches, code_parts, making
from redemption.services.batches import BatchTerms
from redemption.services.secrets import code_digests
from tests.factories import NOON, codes_in_clear, make_admin

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMALLEST_PART", "LARGEST_PART"):
        monkeypatch.setattr(code_parts, name, 100)


def order(count: int = 250) -> CodeBatch:
    terms = BatchTerms(name="spring", quota=500, count=count)
    return batches.create_batch(actor=make_admin(), terms=terms, at=NOON)


def nothing_is_there() -> bool:
    return not (RedemptionCode.objects.exists() or SealedCodes.objects.exists())


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_there_are_as_many_codes_as_ordered_each_stored_by_its_hash_and_hint(count: int) -> None:
    batch = order(count)

    assert making.make_codes(batch=batch, at=NOON)

    batch.refresh_from_db()
    codes = codes_in_clear(batch)
    assert len(set(codes)) == count
    stored = {(bytes(code.digest), code.hint) for code in batch.codes.all()}
    assert stored == {(code_digests(code_format.read(code))[0], code[15:19]) for code in codes}
    assert set(batch.codes.values_list("status", "used_count", "redeemed_by")) == {("enabled", 0, None)}
    assert (batch.status, batch.ready_at) == ("ready", NOON)
    assert not [check.code for check in audit_ledger() if check.broken]


def test_a_batch_knows_where_its_codes_begin_and_end() -> None:
    made = [order(count) for count in (250, 1, 99)]
    for batch in made:
        making.make_codes(batch=batch, at=NOON)
        batch.refresh_from_db()

    for batch in made:
        keys = sorted(code.pk for code in batch.codes.all())
        assert (batch.first_code_id, batch.last_code_id) == (keys[0], keys[-1])


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, [1]),
        (25_000, [25_000]),
        (25_001, [25_000, 1]),
        (1_000_000, [25_000, 50_000, 100_000, 200_000, 200_000, 200_000, 200_000, 25_000]),
    ],
)
def test_parts_begin_small(monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]) -> None:
    monkeypatch.undo()

    assert list(code_parts.sizes(count)) == sizes


def test_the_codes_of_two_batches_differ() -> None:
    first, second = order(), order()

    for batch in (first, second):
        making.make_codes(batch=batch, at=NOON)
        batch.refresh_from_db()

    assert not set(codes_in_clear(first)) & set(codes_in_clear(second))


def test_the_codes_come_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = code_parts.secrets.token_bytes
    monkeypatch.setattr(code_parts.secrets, "token_bytes", lambda size: asked.append(size) or original(size))

    making.make_codes(batch=order(250), at=NOON)

    assert sum(asked) == 250 * 10


def test_a_batch_gets_its_codes_once() -> None:
    batch = order()

    assert [making.make_codes(batch=batch, at=NOON) for _ in range(3)] == [True, False, False]
    assert RedemptionCode.objects.count() == 250
    assert SealedCodes.objects.count() == 3


def test_of_many_who_make_one_batch_at_the_same_moment_one_does() -> None:
    batch, start = order(), Barrier(8)

    def make(_number: int) -> bool:
        try:
            connection.ensure_connection()
            start.wait()
            return making.make_codes(batch=batch, at=NOON)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(make, range(8))) == 1
    assert RedemptionCode.objects.count() == 250
    assert not [check.code for check in audit_ledger() if check.broken]


def test_who_comes_second_goes_away_at_once_and_leaves_the_first_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: who comes second waits, and finds the batch made")
    batch, insert, second = order(2_000), code_parts.Part.insert, []

    def insert_while_another_tries(part: code_parts.Part) -> None:
        insert(part)
        with ThreadPoolExecutor(1) as pool:
            second.append(pool.submit(try_elsewhere).result(timeout=20))

    def try_elsewhere() -> tuple[bool, int | None]:
        try:
            return making.make_codes(batch=batch, at=NOON), making.made_count(batch)
        finally:
            connection.close()

    monkeypatch.setattr(code_parts.Part, "insert", insert_while_another_tries)

    assert making.make_codes(batch=batch, at=NOON)
    assert [made for made, _count in second] == [False] * 20
    assert [count for _made, count in second] == list(range(0, 2_000, 100)), "its progress is still told"


def test_what_cannot_be_written_whole_is_not_written_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the last code of the batch is one that was made before."""
    known = bytes(10)
    monkeypatch.setattr(code_parts.secrets, "token_bytes", lambda size: known * (size // 10))
    making.make_codes(batch=order(1), at=NOON)
    monkeypatch.undo()
    small_parts(monkeypatch)
    parts = [bytes([number]) + bytes(8) for number in range(1, 250)]
    random = iter([b"".join(bytes([n // 256]) + p for n, p in enumerate(parts[:100], 1)), known])
    monkeypatch.setattr(code_parts.secrets, "token_bytes", lambda _size: next(random))
    batch = order(101)

    with pytest.raises(IntegrityError):
        making.make_codes(batch=batch, at=NOON)

    batch.refresh_from_db()
    assert batch.status == "creating"
    assert (batch.codes.count(), batch.sealed.count()) == (0, 0)


def test_the_job_notes_why_it_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_parts.secrets, "token_bytes", bytes)
    batch = order(2)

    tasks.make_codes(batch_id=batch.pk)

    batch.refresh_from_db()
    assert (batch.status, batch.failure) == ("failed", "IntegrityError")
    assert nothing_is_there()


def test_a_batch_that_is_cancelled_half_way_has_no_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite whoever cancels waits for the writer; so here it is the writer who notices, between parts."""
    batch, insert = order(), code_parts.Part.insert

    def insert_then_cancel(part: code_parts.Part) -> None:
        insert(part)
        CodeBatch.objects.filter(pk=batch.pk).update(status="cancelled")

    monkeypatch.setattr(code_parts.Part, "insert", insert_then_cancel)

    assert not making.make_codes(batch=batch, at=NOON)
    assert nothing_is_there()


def test_somebody_else_can_cancel_while_codes_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: whoever cancels comes before or after")
    batch, admin, report = order(), make_admin(), making._report_progress

    def cancel(_batch: CodeBatch, written: int) -> None:
        if written == 100:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(cancel_elsewhere).result()
        report(_batch, written)

    def cancel_elsewhere() -> None:
        try:
            batches.cancel_batch(actor=admin, batch=batch)
        finally:
            connection.close()

    monkeypatch.setattr(making, "_report_progress", cancel)

    assert not making.make_codes(batch=batch, at=NOON)
    assert nothing_is_there()
    assert CodeBatch.objects.get().status == "cancelled"


def test_the_last_word_has_the_batch_and_not_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled after the last part was written, before the codes count."""
    batch = order()
    monkeypatch.setattr(
        making, "_write_all", lambda _batch: bool(CodeBatch.objects.update(status="cancelled"))
    )

    assert not making.make_codes(batch=batch, at=NOON)
    batch.refresh_from_db()
    assert batch.ready_at is None


def test_everybody_can_see_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, insert, seen = order(1_050), code_parts.Part.insert, []

    def look_then_insert(part: code_parts.Part) -> None:
        seen.append(making.made_count(batch))
        insert(part)

    monkeypatch.setattr(code_parts.Part, "insert", look_then_insert)
    assert making.made_count(batch) is None
    making.make_codes(batch=batch, at=NOON)

    assert seen == list(range(0, 1_050, 100))
    assert making.made_count(batch) is None


def test_nobody_starts_over_while_somebody_is_at_it() -> None:
    batch = order(1_050)
    making._report_progress(batch, 100)

    tasks.make_codes(batch_id=batch.pk)

    assert nothing_is_there()
    cache.delete(making._progress_key(batch.pk))


def test_batches_that_nobody_makes_are_asked_for_again() -> None:
    left, at_work, done = order(), order(1_050), order()
    making.make_codes(batch=done, at=NOON)
    making._report_progress(at_work, 100)

    assert making.resume_making() == 1

    cache.delete(making._progress_key(at_work.pk))
    assert making.resume_making() == 2
    assert left.codes.count() == 0
