"""Codes and what they have in common, for tests of files."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import zxingcpp
from PIL import Image

from redemption.code_format import written
from redemption.exports import Sheet

LINK = "https://quota.example/redeem/"
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
UNTIL = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)


def make_sheet(**changes: Any) -> Sheet:
    facts: dict[str, Any] = {
        "batch_id": 42,
        "name": "spring",
        "quota": 5_000_000,
        "valid_from": SINCE,
        "valid_until": UNTIL,
        "uses_per_code": 1,
        "link": LINK,
    }
    return Sheet(**{**facts, **changes})


def make_codes(count: int) -> Iterator[str]:
    """As the service hands them over: lazily, ten thousand at a time."""

    def endless() -> Iterator[str]:
        while True:
            yield from written(os.urandom(10 * 10_000))

    return islice(endless(), count)


def read_qr_codes(image: Image.Image) -> list[zxingcpp.Barcode]:
    grey = image.convert("L")
    pixels = grey.tobytes()  # the view does not keep them
    view = zxingcpp.ImageView(pixels, grey.width, grey.height, zxingcpp.ImageFormat.Lum)
    return zxingcpp.read_barcodes(view, formats=zxingcpp.BarcodeFormat.QRCode)
