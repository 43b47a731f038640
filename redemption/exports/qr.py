"""QR codes: as rows of modules for whoever draws them, and as SVG."""

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

QUIET_ZONE: Final = 4
"""How many modules around it stay white, by ISO/IEC 18004."""

_MASK: Final = 2
"""Readers take any of the eight; for links this is mostly the best. Trying all takes five times as long."""
_PIXELS: Final = 8
"""Of a module, where nobody says how large the image is."""


def qr_modules(text: str) -> list[list[bool]]:
    """The rows of the symbol, dark modules being true, without the quiet zone."""
    symbol = QRCode(error_correction=ERROR_CORRECT_M, border=0, mask_pattern=_MASK)
    symbol.add_data(text)
    symbol.make()
    return [[bool(module) for module in row] for row in symbol.modules]


def dark_runs(modules: list[list[bool]]) -> Iterator[tuple[int, int, int]]:
    """Row, column and length of every run of dark modules."""
    for y, row in enumerate(modules):
        x = 0
        for is_dark, run in groupby(row):
            length = len(list(run))
            if is_dark:
                yield y, x, length
            x += length


def qr_svg(text: str) -> str:
    """An image by itself that also stands well in a page: black on white whatever is behind it."""
    modules = qr_modules(text)
    size = len(modules) + 2 * QUIET_ZONE
    path = "".join(
        f"M{x + QUIET_ZONE} {y + QUIET_ZONE}h{length}v1h-{length}z" for y, x, length in dark_runs(modules)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size * _PIXELS}" height="{size * _PIXELS}" '
        f'viewBox="0 0 {size} {size}">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path fill="#000" d="{path}"/></svg>'
    )
