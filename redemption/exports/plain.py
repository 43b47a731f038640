"""Codes as plain text: one a line, or a table for programs."""

from collections.abc import Iterable, Iterator

from oneapi_admin.lib.csv_export import csv_lines
from oneapi_admin.lib.quota import to_usd
from redemption.exports.sheet import COLUMNS, Sheet, lumps, redeem_link


def txt_file(_sheet: Sheet, codes: Iterable[str]) -> Iterator[bytes]:
    """One code a line."""
    for lump in lumps(codes):
        yield "".join(f"{code}\n" for code in lump).encode()


def csv_file(sheet: Sheet, codes: Iterable[str]) -> Iterator[bytes]:
    """A row for each code; dollars are exact, times ISO 8601 in UTC."""
    same = (to_usd(sheet.quota), sheet.quota, sheet.valid_from, sheet.valid_until)
    rows = ((code, *same, redeem_link(sheet.link, code)) for code in codes)
    for lump in lumps(csv_lines(header=COLUMNS, rows=rows)):
        yield "".join(lump).encode()
