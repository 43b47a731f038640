import csv
import io

import pytest

from oneapi_admin.lib.csv_export import csv_lines, csv_response, safe_cell
from tests.factories import NOON


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_text_that_a_spreadsheet_would_run_is_disarmed(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-5, 0, None, "plain", "", "a=b"])
def test_numbers_and_ordinary_texts_stay_as_they_are(value: object) -> None:
    assert safe_cell(value) == value


def test_times_are_written_as_iso_8601() -> None:
    assert safe_cell(NOON) == "2026-03-02T12:00:00+00:00"


def test_a_file_starts_with_the_mark_of_utf_8_and_reads_back_as_it_was() -> None:
    rows = [["逗号,", 'a "quoted" text', -5], ["two\nlines", "", 7]]

    text = "".join(csv_lines(header=["a", "b", "c"], rows=rows))

    assert text.startswith("\ufeff")
    assert list(csv.reader(io.StringIO(text[1:], newline=""))) == [
        ["a", "b", "c"],
        ["逗号,", 'a "quoted" text', "-5"],
        ["two\nlines", "", "7"],
    ]


def test_a_file_is_downloaded_and_never_kept_by_caches() -> None:
    response = csv_response(filename="usage.csv", header=["a"], rows=[])

    assert response["Content-Disposition"] == 'attachment; filename="usage.csv"'
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Type"] == "text/csv; charset=utf-8"
