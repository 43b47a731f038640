import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import datetime

import pytest
from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from redemption.exports import COLUMNS, FORMATS, Sheet, redeem_link
from tests.redemption.exports.examples import LINK, make_codes, make_sheet

MORE_THAN_TWO_PIECES = 12_001


def read_csv(sheet: Sheet, codes: list[str]) -> list[list[str]]:
    content = b"".join(FORMATS["csv"].write(sheet, iter(codes)))
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content[3:].decode(), newline="")))


def read_xlsx(sheet: Sheet, codes: list[str]) -> Worksheet:
    content = b"".join(FORMATS["xlsx"].write(sheet, iter(codes)))
    return load_workbook(io.BytesIO(content)).active


def test_a_link_opens_the_page_with_the_code_whatever_signs_it_has() -> None:
    assert redeem_link(LINK, "AB-1") == "https://quota.example/redeem/?code=AB-1"
    assert redeem_link(LINK, "a&b=c d") == "https://quota.example/redeem/?code=a%26b%3Dc%20d"


def test_every_format_says_how_its_file_is_named_and_sent() -> None:
    assert {name: (form.extension, form.content_type) for name, form in FORMATS.items()} == {
        "csv": ("csv", "text/csv; charset=utf-8"),
        "xlsx": ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        "txt": ("txt", "text/plain; charset=utf-8"),
        "pdf": ("pdf", "application/pdf"),
    }


def test_a_text_file_has_one_code_a_line() -> None:
    codes = list(make_codes(MORE_THAN_TWO_PIECES))

    content = b"".join(FORMATS["txt"].write(make_sheet(), iter(codes)))

    assert content.decode() == "\n".join(codes) + "\n"


def test_a_csv_file_has_all_codes_in_order_with_exact_amounts_and_times_in_utc() -> None:
    codes = list(make_codes(MORE_THAN_TWO_PIECES))

    header, *rows = read_csv(make_sheet(quota=5_000_001), codes)

    assert header == ["code", "usd", "quota", "valid_from", "valid_until", "link"] == list(COLUMNS)
    assert [row[0] for row in rows] == codes
    assert {tuple(row[1:5]) for row in rows} == {
        ("10.000002", "5000001", "2026-03-01T00:00:00+00:00", "2026-12-31T23:59:00+00:00")
    }
    assert [row[5] for row in rows] == [f"https://quota.example/redeem/?code={code}" for code in codes]


def test_codes_without_end_have_empty_cells_for_it() -> None:
    _, row = read_csv(make_sheet(valid_from=None, valid_until=None), ["AAAA"])
    cells = read_xlsx(make_sheet(valid_from=None, valid_until=None), ["AAAA"])[2]

    assert row == ["AAAA", "10.000000", "5000000", "", "", f"{LINK}?code=AAAA"]
    assert [cell.value for cell in cells] == ["AAAA", 10, 5_000_000, None, None, f"{LINK}?code=AAAA"]


def test_no_cell_is_a_formula() -> None:
    sheet = make_sheet(link="=HYPERLINK(1)")

    _, row = read_csv(sheet, ["+1", "-1"])[:2]
    table = read_xlsx(sheet, ["=1+1"])

    assert (row[0], row[5]) == ("'+1", "'=HYPERLINK(1)?code=%2B1")
    assert [(table[place].value, table[place].data_type) for place in ("A2", "F2")] == [
        ("=1+1", "s"),
        ("=HYPERLINK(1)?code=%3D1%2B1", "s"),
    ]


def test_a_workbook_has_all_codes_in_order_as_text_beside_numbers_and_dates() -> None:
    codes = list(make_codes(MORE_THAN_TWO_PIECES))

    rows = list(read_xlsx(make_sheet(quota=5_000_001), codes).iter_rows(values_only=True))

    assert rows[0] == COLUMNS
    assert [row[0] for row in rows[1:]] == codes
    assert {row[1:5] for row in rows[1:]} == {
        (10.000002, 5_000_001, datetime(2026, 3, 1), datetime(2026, 12, 31, 23, 59))  # noqa: DTZ001
    }
    assert [row[5] for row in rows[1:]] == [f"{LINK}?code={code}" for code in codes]


def test_a_workbook_keeps_every_sign_of_an_address() -> None:
    table = read_xlsx(make_sheet(link="https://quota.example/a&b<c>/"), ["AAAA"])

    assert table["F2"].value == "https://quota.example/a&b<c>/?code=AAAA"


def test_a_workbook_shows_units_and_keeps_its_header_in_sight() -> None:
    table = read_xlsx(make_sheet(), ["AAAA"])

    assert (table.title, table.freeze_panes, table.sheet_view.pane.state) == ("codes", "A2", "frozen")
    assert all(cell.font.bold for cell in table[1])
    assert not any(cell.font.bold for cell in table[2])
    assert [cell.number_format for cell in table[2]] == [
        "@",
        '"$"#,##0.00####',
        "#,##0",
        'yyyy\\-mm\\-dd\\ hh:mm\\ "UTC"',
        'yyyy\\-mm\\-dd\\ hh:mm\\ "UTC"',
        "@",
    ]
    assert all(table.column_dimensions[letter].width >= 14 for letter in "ABCDEF")


@pytest.mark.parametrize(
    ("name", "title"), [('春 <A&B> "1"', '春 <A&B> "1"'), ("a\x0bb\x00", "ab"), ("=1+1", "=1+1")]
)
def test_a_workbook_is_entitled_with_the_batchs_name_whatever_signs_it_has(name: str, title: str) -> None:
    content = b"".join(FORMATS["xlsx"].write(make_sheet(name=name), ["AAAA"]))

    assert load_workbook(io.BytesIO(content)).properties.title == title


def test_a_workbook_is_an_archive_that_old_readers_take_too() -> None:
    content = b"".join(FORMATS["xlsx"].write(make_sheet(), make_codes(MORE_THAN_TWO_PIECES)))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {part.extract_version for part in archive.infolist()} == {
            20
        }  # no ZIP64: Excel refuses it streamed


@pytest.mark.parametrize("name", ["csv", "txt", "xlsx"])
def test_a_file_is_sent_while_its_codes_are_read(name: str) -> None:
    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for code in make_codes(100_000):
            taken += 1
            yield code

    pieces = FORMATS[name].write(make_sheet(), counted())

    assert taken == 0
    assert next(pieces)
    assert taken <= 5_000
    assert next(pieces)
    assert 5_000 < taken <= 10_000


@pytest.mark.parametrize("name", ["csv", "txt", "xlsx"])
def test_a_file_whose_codes_cannot_all_be_read_never_looks_complete(name: str) -> None:
    class LostError(Exception):
        pass

    def broken() -> Iterator[str]:
        yield from make_codes(7_000)
        raise LostError

    received = []
    with pytest.raises(LostError):
        received.extend(FORMATS[name].write(make_sheet(), broken()))

    assert not zipfile.is_zipfile(io.BytesIO(b"".join(received)))


@pytest.mark.parametrize("name", ["csv", "txt", "xlsx", "pdf"])
def test_a_file_of_no_codes_can_be_read_all_the_same(name: str) -> None:
    assert isinstance(b"".join(FORMATS[name].write(make_sheet(), [])), bytes)


def test_a_workbook_of_no_codes_is_a_header() -> None:
    assert list(read_xlsx(make_sheet(), []).iter_rows(values_only=True)) == [COLUMNS]
