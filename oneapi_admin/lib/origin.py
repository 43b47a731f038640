"""Where what is being done comes from: which request, and whose address; for those who write it down."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Origin:
    """A request, or, with nothing known, a command or a job."""

    request_id: str = ""
    address: str = ""


_UNKNOWN: Final = Origin()
_origin: ContextVar[Origin] = ContextVar("origin", default=_UNKNOWN)


@contextmanager
def coming_from(*, request_id: str, address: str | None) -> Iterator[None]:
    """Everything inside comes from this request.

    :param address: as the server tells it; what is no address, such as a proxy's ``unknown``, is left out
    """
    before = _origin.set(Origin(request_id=request_id, address=plain_address(address) or ""))
    try:
        yield
    finally:
        _origin.reset(before)


def current() -> Origin:
    return _origin.get()


def plain_address(text: str | None) -> str | None:
    """An address as both databases store it; None for what a proxy made up, such as ``unknown``."""
    try:
        return str(ipaddress.ip_address((text or "").partition("%")[0]))
    except ValueError:
        return None
