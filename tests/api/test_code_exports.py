"""Codes in clear as files, for programs, while they can be read."""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.request import Request, urlopen

import openpyxl
import pypdfium2
import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from redemption.models import CodeBatch, SealedCodes
from redemption.services import batches, code_parts, sealed
from tests.api.conftest import Program
from tests.factories import NOON, balance_of, codes_in_clear, make_admin, make_batch, make_user
from tests.support.processes import WebProcess, web_processes

pytestmark = pytest.mark.django_db
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pdf": "application/pdf",
}


def codes_in_csv(content: bytes) -> list[str]:
    return [row["code"] for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig")))]


def codes_in_txt(content: bytes) -> list[str]:
    return content.decode().splitlines()


def codes_in_xlsx(content: bytes) -> list[str]:
    [table] = openpyxl.load_workbook(io.BytesIO(content)).worksheets
    return [str(row[0]) for row in table.iter_rows(min_row=2, values_only=True)]


def codes_in_pdf(content: bytes) -> list[str]:
    pages = pypdfium2.PdfDocument(content)
    words = [word for page in pages for word in page.get_textpage().get_text_range().split()]
    return [word for word in words if word.count("-") == 4]


READERS = {"csv": codes_in_csv, "txt": codes_in_txt, "xlsx": codes_in_xlsx, "pdf": codes_in_pdf}


def fresh_batch(**terms: Any) -> CodeBatch:
    """One whose codes can be read now."""
    return make_batch(at=timezone.now(), **terms)


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[WebProcess]:
    with web_processes(1) as [server]:
        yield server


def path_of(batch: CodeBatch) -> str:
    return f"/code-batches/{batch.pk}"


def times_downloaded() -> int:
    return AuditEvent.objects.filter(action="code_batch.downloaded").count()


@pytest.mark.parametrize("name", TYPES)
def test_codes_are_exported_as_a_file_and_can_be_redeemed(program, name) -> None:
    batch, admin, user = fresh_batch(count=12), make_admin(), make_user()

    file = program(admin, "codes").get(f"{path_of(batch)}/export?format={name}")

    codes = READERS[name](file.body)
    redeemed = [program(user).post("/redemptions", {"code": code}).status for code in (codes[0], codes[-1])]
    assert file.status == 200
    assert file.headers["Content-Type"] == TYPES[name]
    assert file.headers["Content-Disposition"] == f'attachment; filename="codes-{batch.pk}.{name}"'
    assert file.headers["Cache-Control"] == "no-store"
    assert len(set(codes)) == 12
    assert (redeemed, balance_of(user)) == ([201, 201], 1_000)
    event = AuditEvent.objects.get(action="code_batch.downloaded")
    assert (event.actor, event.subject_id) == (admin, batch.pk)
    assert event.changes == {"format": {"old": None, "new": name}}


def test_a_file_is_csv_unless_said_otherwise_and_has_what_the_codes_are_worth(program) -> None:
    batch = fresh_batch(quota=750_000)
    asks = program(make_admin())

    file = asks.get(f"{path_of(batch)}/export")

    rows = list(csv.DictReader(io.StringIO(file.body.decode("utf-8-sig"))))
    assert file.headers["Content-Type"] == TYPES["csv"]
    assert [(row["quota"], row["usd"], row["valid_until"]) for row in rows] == [
        ("750000", "1.500000", "")
    ] * 3
    assert [row["link"] for row in rows] == [
        f"http://testserver/redeem/?code={code}" for code in codes_in_clear(batch)
    ]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", range(5)),
        ("&start=2", range(2, 5)),
        ("&limit=2", range(2)),
        ("&start=1&limit=3", range(1, 4)),
        ("&start=3&limit=1000000", range(3, 5)),
        ("&start=5", range(0)),
        ("&start=1000000", range(0)),
    ],
)
def test_a_part_of_the_codes_is_exported(program, query, numbers) -> None:
    batch = fresh_batch(count=5)
    codes = codes_in_clear(batch)

    file = program(make_admin()).get(f"{path_of(batch)}/export?format=txt{query}")

    assert codes_in_txt(file.body) == [codes[number] for number in numbers]


def test_a_part_is_the_same_wherever_the_codes_were_sealed(program, monkeypatch) -> None:
    for name in ("SMALLEST_PART", "LARGEST_PART"):
        monkeypatch.setattr(code_parts, name, 2)
    batch = fresh_batch(count=5)
    codes = codes_in_clear(batch)

    file = program(make_admin()).get(f"{path_of(batch)}/export?format=txt&start=1&limit=3")

    assert SealedCodes.objects.count() == 3
    assert codes_in_txt(file.body) == codes[1:4]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("format=doc", "query.format"),
        ("format=", "query.format"),
        ("start=-1", "query.start"),
        ("start=x", "query.start"),
        ("start=1000001", "query.start"),
        ("limit=0", "query.limit"),
        ("limit=1000001", "query.limit"),
    ],
)
def test_what_is_no_part_and_no_format_is_refused_naming_it(program, query, field) -> None:
    answer = program(make_admin()).get(f"{path_of(fresh_batch())}/export?{query}")

    assert (answer.status, answer.wrong_fields) == (422, [field])
    assert times_downloaded() == 0


def test_a_pdf_of_too_many_codes_is_refused_and_a_part_of_them_is_not(program, monkeypatch) -> None:
    monkeypatch.setattr("redemption.downloads.MAX_PDF_CODES", 2)
    batch, asks = fresh_batch(count=3), program(make_admin())

    refused = asks.get(f"{path_of(batch)}/export?format=pdf")
    downloaded = times_downloaded()
    part = asks.get(f"{path_of(batch)}/export?format=pdf&start=1")

    assert (refused.status, refused.code) == (422, "too_many_for_pdf")
    assert downloaded == 0
    assert len(codes_in_pdf(part.body)) == 2


def test_the_first_download_is_noted_and_others_follow(program) -> None:
    batch, asks = fresh_batch(), program(make_admin())

    before = asks.get(path_of(batch)).body
    files = [asks.get(f"{path_of(batch)}/export?format=txt").body for _ in range(2)]
    batch.refresh_from_db()
    after = asks.get(path_of(batch)).body

    assert before["downloaded_at"] is None
    assert batch.downloaded_at is not None
    assert after["downloaded_at"].startswith(f"{batch.downloaded_at:%Y-%m-%dT%H:%M:%S}")
    assert files[0] == files[1]
    assert times_downloaded() == 2


def test_after_the_download_is_confirmed_nobody_reads_the_codes_and_they_are_still_good(program) -> None:
    batch, user, asks = fresh_batch(count=1), make_user(), program(make_admin(), "codes")
    [code] = asks.get(f"{path_of(batch)}/export?format=txt").body.decode().split()

    confirmed, again = (asks.post(f"{path_of(batch)}/confirm-download", None) for _ in range(2))
    gone = asks.get(f"{path_of(batch)}/export")

    assert [(answer.status, answer.body["readable_until"]) for answer in (confirmed, again)] == [
        (200, None)
    ] * 2
    assert (gone.status, gone.code) == (410, "codes_gone")
    assert not SealedCodes.objects.exists()
    assert AuditEvent.objects.filter(action="code_batch.forgotten").count() == 1
    assert program(user).post("/redemptions", {"code": code}).status == 201


def test_after_their_time_nobody_reads_the_codes(program) -> None:
    batch, asks = fresh_batch(), program(make_admin())
    CodeBatch.objects.update(sealed_until=timezone.now() - timedelta(seconds=1))

    gone = asks.get(f"{path_of(batch)}/export")
    told = asks.get(path_of(batch)).body

    assert (gone.status, gone.code) == (410, "codes_gone")
    assert told["readable_until"] is None
    assert times_downloaded() == 0


def test_until_when_they_can_be_read_is_told(program) -> None:
    batch = fresh_batch()

    told = program(make_admin(), "read").get(path_of(batch)).body["readable_until"]

    assert batch.sealed_until is not None
    assert told == batch.sealed_until.isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_codes_of_a_revoked_batch_are_gone(program) -> None:
    batch = fresh_batch()
    batches.revoke_batch(actor=make_admin(), batch=batch)

    answer = program(make_admin()).get(f"{path_of(batch)}/export")

    assert (answer.status, answer.code) == (410, "codes_gone")


@pytest.mark.parametrize(("method", "operation"), [("GET", "export"), ("POST", "confirm-download")])
def test_codes_that_are_not_made_yet_are_neither_exported_nor_forgotten(program, method, operation) -> None:
    terms = batches.BatchTerms(name="spring", quota=5, count=2)
    batch = batches.create_batch(actor=make_admin(), terms=terms, at=NOON)
    asks = program(make_admin())

    creating = asks.ask(method, f"{path_of(batch)}/{operation}")
    batches.fail_batch(batch_id=batch.pk, reason="OperationalError")
    failed = asks.ask(method, f"{path_of(batch)}/{operation}")

    assert [(answer.status, answer.code) for answer in (creating, failed)] == [(409, "codes_not_ready")] * 2
    assert AuditEvent.objects.filter(action__startswith="code_batch").count() == 1


def test_codes_that_are_made_while_somebody_confirms_stay_readable(program, monkeypatch) -> None:
    """Between the look at the batch and the deletion: what was not there must not be deleted."""
    batch = fresh_batch()
    sealed.forget_codes(actor=None, batch=batch)
    SealedCodes.objects.create(batch=batch, number=0, content=b"of somebody else")

    answer = program(make_admin()).post(f"{path_of(batch)}/confirm-download", None)

    assert answer.status == 200
    assert SealedCodes.objects.count() == 1


def test_a_visitor_exports_nothing() -> None:
    answer = Program().get(f"{path_of(fresh_batch())}/export")

    assert (answer.status, answer.code) == (401, "authentication_required")
    assert times_downloaded() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["csv", "xlsx", "txt"])
def test_a_server_sends_a_large_file_whole(web, program, name) -> None:
    batch = fresh_batch(count=code_parts.SMALLEST_PART + 1)
    asks = program(make_admin())
    address = f"{web.origin}/api/v1{path_of(batch)}/export?format={name}"

    with urlopen(Request(address, headers={"Authorization": f"Bearer {asks.key}"}), timeout=60) as answer:
        codes = READERS[name](answer.read())

    assert answer.headers["Content-Type"] == TYPES[name]
    assert codes == codes_in_clear(batch)
