"""Codes as files. Pure functions: whoever calls them reads the codes, a few at a time if they like."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from redemption.exports.cards import MAX_PDF_CODES, TooManyForPdfError, pdf_file
from redemption.exports.plain import csv_file, txt_file
from redemption.exports.qr import qr_svg
from redemption.exports.sheet import COLUMNS, Sheet, redeem_link
from redemption.exports.workbook import xlsx_file

__all__ = [
    "COLUMNS",
    "FORMATS",
    "MAX_PDF_CODES",
    "Format",
    "Sheet",
    "TooManyForPdfError",
    "qr_svg",
    "redeem_link",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of file: how it is named and sent, and what makes it, piece by piece."""

    extension: str
    content_type: str
    write: Callable[[Sheet, Iterable[str]], Iterator[bytes]]


FORMATS: Final = {
    form.extension: form
    for form in (
        Format(extension="csv", content_type="text/csv; charset=utf-8", write=csv_file),
        Format(
            extension="xlsx",
            content_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            write=xlsx_file,
        ),
        Format(extension="txt", content_type="text/plain; charset=utf-8", write=txt_file),
        Format(extension="pdf", content_type="application/pdf", write=pdf_file),
    )
}
