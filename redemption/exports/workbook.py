"""Codes as an Excel workbook, sent while it is written.

The libraries that write workbooks put them together in a temporary file and have nothing to send for as long
as that takes. This workbook is one plain table, so its six parts (ECMA-376, part 1, clauses 8 and 18) are
written here, straight into the archive that is sent. Texts stand in their cells and are never formulas.
"""

import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from oneapi_admin.lib.quota import to_usd
from redemption.exports.sheet import COLUMNS, Sheet, lumps, redeem_link

_DAY_ZERO: Final = datetime(1899, 12, 30, tzinfo=UTC)
"""Times are counted in days from here."""
_COMPRESSION: Final = 1
"""Higher levels take several times as long for a few per cent."""

_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_DOCUMENT: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"

_SHEET_PART: Final = "xl/worksheets/sheet1.xml"
_PARTS: Final = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
        f'<Override PartName="/{_SHEET_PART}" ContentType="{_TYPES}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/>'
        '<Override PartName="/docProps/core.xml" '
        'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>'
        "</Types>"
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_DOCUMENT}/officeDocument" Target="xl/workbook.xml"/>'
        f'<Relationship Id="rId2" Type="{_PACKAGE}/relationships/metadata/core-properties" '
        'Target="docProps/core.xml"/>'
        "</Relationships>"
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}">'
        '<sheets><sheet name="codes" sheetId="1" r:id="rId1"/></sheets>'
        "</workbook>"
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_DOCUMENT}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_DOCUMENT}/styles" Target="styles.xml"/>'
        "</Relationships>"
    ),
    "xl/styles.xml": (
        f'<styleSheet xmlns="{_MAIN}">'
        '<numFmts count="2">'
        '<numFmt numFmtId="164" formatCode="&quot;$&quot;#,##0.00####"/>'
        '<numFmt numFmtId="165" formatCode="yyyy\\-mm\\-dd\\ hh:mm\\ &quot;UTC&quot;"/>'
        "</numFmts>"
        '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
        '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
        '<cellXfs count="7">'
        '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
        '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1" '
        'applyAlignment="1"><alignment horizontal="left" indent="1"/></xf>'
        '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        '<xf numFmtId="3" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        '<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1" applyAlignment="1">'
        '<alignment horizontal="left" indent="1"/></xf>'
        '<xf numFmtId="49" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1" applyAlignment="1">'
        '<alignment horizontal="right"/></xf>'
        "</cellXfs>"
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
        "</styleSheet>"
    ),
}
_TEXT, _USD, _QUOTA, _TIME, _HEADER, _NUMBER_HEADER = range(1, 7)
"""The cell styles above."""
_HEADER_STYLES: Final = (_HEADER, *[_NUMBER_HEADER] * 4, _HEADER)
_WIDTHS: Final = (26, 14, 16, 22, 22, 64)
_TABLE_START: Final = (
    f'<worksheet xmlns="{_MAIN}"><sheetPr><pageSetUpPr fitToPage="1"/></sheetPr>'
    '<sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
    "<cols>"
    + "".join(
        f'<col min="{n}" max="{n}" width="{width}" customWidth="1"/>' for n, width in enumerate(_WIDTHS, 1)
    )
    + "</cols><sheetData>"
)
_TABLE_END: Final = (
    '</sheetData><pageSetup paperSize="9" orientation="landscape" fitToHeight="0"/></worksheet>'
)


class _Outlet(io.RawIOBase):
    """A file that cannot go back, from which what was written is taken away."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self._written.append(bytes(content))
        return len(content)

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def xlsx_file(sheet: Sheet, codes: Iterable[str]) -> Iterator[bytes]:
    """A row for each code under a header that stays; amounts are numbers, times are dates in UTC."""
    outlet = _Outlet()
    with ZipFile(outlet, "w", ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive:
        for name, content in _PARTS.items():
            archive.writestr(name, _XML + content)
        archive.writestr("docProps/core.xml", _XML + _properties(sheet.name))
        with archive.open(_SHEET_PART, "w") as part:
            part.write(f"{_XML}{_TABLE_START}{_header()}".encode())
            for rows in _rows(sheet, codes):
                part.write(rows)
                yield outlet.take()
            part.write(_TABLE_END.encode())
    yield outlet.take()


def _properties(title: str) -> str:
    printable = "".join(sign for sign in title if sign.isprintable())
    return (
        f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(printable)}</dc:title></cp:coreProperties>'
    )


def _header() -> str:
    columns = zip("ABCDEF", _HEADER_STYLES, COLUMNS, strict=True)
    cells = "".join(_text(f"{letter}1", style, name) for letter, style, name in columns)
    return f'<row r="1">{cells}</row>'


def _rows(sheet: Sheet, codes: Iterable[str]) -> Iterator[bytes]:
    usd = f'" s="{_USD}"><v>{to_usd(sheet.quota)}</v></c>'
    quota = f'" s="{_QUOTA}"><v>{sheet.quota}</v></c>'
    valid_from, valid_until = _time(sheet.valid_from), _time(sheet.valid_until)
    numbers = count(2)
    for lump in lumps(codes):
        yield "".join(
            f'<row r="{n}">{_text(f"A{n}", _TEXT, code)}<c r="B{n}{usd}<c r="C{n}{quota}'
            f'<c r="D{n}{valid_from}<c r="E{n}{valid_until}'
            f"{_text(f'F{n}', _TEXT, redeem_link(sheet.link, code))}</row>"
            for code, n in zip(lump, numbers, strict=False)
        ).encode()


def _text(place: str, style: int, text: str) -> str:
    return f'<c r="{place}" s="{style}" t="inlineStr"><is><t>{escape(text)}</t></is></c>'


def _time(at: datetime | None) -> str:
    days = "" if at is None else f"<v>{(at - _DAY_ZERO) / timedelta(days=1)}</v>"
    return f'" s="{_TIME}">{days}</c>'
