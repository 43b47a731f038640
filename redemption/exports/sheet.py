"""What a file of codes says, in whichever format."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final
from urllib.parse import quote

COLUMNS: Final = ("code", "usd", "quota", "valid_from", "valid_until", "link")
"""The header of tables. Programs read it: it is the same in every language."""
LUMP: Final = 5_000
"""How many codes become one piece of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What all codes of a file have in common."""

    batch_id: int
    name: str
    quota: int
    valid_from: datetime | None
    valid_until: datetime | None
    uses_per_code: int
    link: str
    """Address of the page where codes are redeemed, such as ``https://quota.example/redeem/``."""


def redeem_link(link: str, code: str) -> str:
    """The address that opens the page with the code filled in."""
    return f"{link}?code={quote(code, safe='')}"


def lumps(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists of ``LUMP``, the last one shorter."""
    remaining = iter(texts)
    while lump := list(islice(remaining, LUMP)):
        yield lump
