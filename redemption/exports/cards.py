"""Codes as cards to print and cut: ten on a page of A4, each 85 × 54 mm.

There are no words on them, so they need no translation and no fonts but those that every reader has.
"""

import io
from collections.abc import Iterable, Iterator
from datetime import UTC
from itertools import islice
from typing import Final

from django.utils.translation import gettext_lazy as _
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import format_usd
from redemption.exports.qr import dark_runs, qr_modules
from redemption.exports.sheet import Sheet, redeem_link

MAX_PDF_CODES: Final = 5_000
"""In one file: the library keeps all its pages in memory and sends nothing before the last is drawn."""

_COLUMNS: Final = 2
_ROWS: Final = 5
_A_PAGE: Final = _COLUMNS * _ROWS
_WIDTH: Final = 85 * mm
_HEIGHT: Final = 54 * mm
_LEFT: Final = (A4[0] - _COLUMNS * _WIDTH) / 2
_BOTTOM: Final = (A4[1] - _ROWS * _HEIGHT) / 2
_PADDING: Final = 7 * mm
_INNER: Final = _WIDTH - 2 * _PADDING
_QR_SIZE: Final = 25 * mm
_BESIDE_QR: Final = _INNER - _QR_SIZE - 5 * mm
_BOLD: Final = "Helvetica-Bold"
_PLAIN: Final = "Helvetica"
_MONOSPACE: Final = "Courier-Bold"
_SOFT: Final = 0.35
"""How light the small print is, from black (0) to white (1)."""
_PIECE: Final = 1 << 16
"""How many bytes are sent at once."""


class TooManyForPdfError(DomainError):
    code = "too_many_for_pdf"
    http_status = 422
    message = _("A PDF has at most %(most)s codes.")
    remedy = _("Take them in several files, a range each, or download them as CSV or Excel.")


def pdf_file(sheet: Sheet, codes: Iterable[str]) -> Iterator[bytes]:
    """Draw a card for each code.

    :raises TooManyForPdfError: at once, if there are more than ``MAX_PDF_CODES``
    """
    listed = list(islice(codes, MAX_PDF_CODES + 1))
    if len(listed) > MAX_PDF_CODES:
        raise TooManyForPdfError(most=MAX_PDF_CODES)
    return _pieces(sheet, listed)


def _pieces(sheet: Sheet, codes: list[str]) -> Iterator[bytes]:
    content = io.BytesIO()
    canvas = Canvas(content, pagesize=A4, pageCompression=1)
    canvas.setTitle(sheet.name)
    canvas.setAuthor("")
    canvas.setSubject("")
    canvas.setCreator("")
    pages = -(-len(codes) // _A_PAGE)
    for page in range(pages):
        _draw_cut_marks(canvas)
        _draw_text(canvas, (_LEFT + _PADDING, 7 * mm), f"#{sheet.batch_id}   {page + 1} / {pages}", size=7)
        for place, code in enumerate(codes[page * _A_PAGE : (page + 1) * _A_PAGE]):
            row, column = divmod(place, _COLUMNS)
            canvas.saveState()
            canvas.translate(_LEFT + column * _WIDTH, _BOTTOM + (_ROWS - 1 - row) * _HEIGHT)
            _draw_card(canvas, sheet, code)
            canvas.restoreState()
        canvas.showPage()
    canvas.save()
    content.seek(0)
    while piece := content.read(_PIECE):
        yield piece


def _draw_card(canvas: Canvas, sheet: Sheet, code: str) -> None:
    top = _HEIGHT - _PADDING
    amount = format_usd(sheet.quota)
    _draw_text(canvas, (_PADDING, top - 17), amount, font=_BOLD, size=24, width=_BESIDE_QR, tone=0)
    if sheet.uses_per_code > 1:
        _draw_text(canvas, (_PADDING, top - 33), f"× {sheet.uses_per_code:,}", size=11)
    validity = _validity(sheet)
    for below, line in enumerate(validity, 1 - len(validity)):
        _draw_text(canvas, (_PADDING, top - _QR_SIZE - 10 * below), line, size=7.5, width=_BESIDE_QR)
    _draw_qr(canvas, (_WIDTH - _PADDING - _QR_SIZE, top - _QR_SIZE), redeem_link(sheet.link, code))
    _draw_text(canvas, (_PADDING, 12.5 * mm), code, font=_MONOSPACE, size=16, width=_INNER, tone=0)
    _draw_text(canvas, (_PADDING, _PADDING), _shown_address(sheet.link), size=7.5, width=_INNER)


def _draw_text(
    canvas: Canvas,
    at: tuple[float, float],
    text: str,
    *,
    size: float,
    font: str = _PLAIN,
    width: float = _INNER,
    tone: float = _SOFT,
) -> None:
    """Write one line, smaller where it would be wider than it may."""
    fitting = min(size, size * width / stringWidth(text, font, size))
    canvas.setFont(font, fitting)
    canvas.setFillGray(tone)
    canvas.drawString(*at, text)


def _draw_qr(canvas: Canvas, at: tuple[float, float], text: str) -> None:
    modules = qr_modules(text)
    side = _QR_SIZE / len(modules)
    path = canvas.beginPath()
    for row, column, length in dark_runs(modules):
        path.rect(column, -row - 1, length, 1)
    canvas.saveState()
    canvas.translate(at[0], at[1] + _QR_SIZE)
    canvas.scale(side, side)
    canvas.setFillGray(0)
    canvas.drawPath(path, stroke=0, fill=1)
    canvas.restoreState()


def _draw_cut_marks(canvas: Canvas) -> None:
    """Lines in the margins where the edges of cards end, and small crosses where cards meet."""
    canvas.setLineWidth(0.3)
    canvas.setStrokeGray(_SOFT)
    right, top = A4[0] - _LEFT, A4[1] - _BOTTOM
    gap, length, arm = 2 * mm, 5 * mm, 1.5 * mm
    verticals = [_LEFT + column * _WIDTH for column in range(_COLUMNS + 1)]
    horizontals = [_BOTTOM + row * _HEIGHT for row in range(_ROWS + 1)]
    lines = []
    for x in verticals:
        lines += [(x, top + gap, x, top + gap + length), (x, _BOTTOM - gap, x, _BOTTOM - gap - length)]
        lines += [(x, y - arm, x, y + arm) for y in horizontals[1:-1]]
    for y in horizontals:
        lines += [(_LEFT - gap, y, _LEFT - gap - length, y), (right + gap, y, right + gap + length, y)]
        lines += [(x - arm, y, x + arm, y) for x in verticals[1:-1]]
    canvas.lines(lines)


def _validity(sheet: Sheet) -> list[str]:
    """From when until when: the dash tells which of them a lone time is."""
    since, until = (
        at and f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" for at in (sheet.valid_from, sheet.valid_until)
    )
    if since and until:
        return [f"{since} –", f"{until} UTC"]
    if since:
        return [f"{since} UTC –"]
    return [f"– {until} UTC"] if until else []


def _shown_address(link: str) -> str:
    """Short enough to type."""
    return link.removeprefix("https://").rstrip("/")
