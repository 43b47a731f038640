"""How codes are written and read.

A code is 80 random bits: sixteen of Crockford's base-32 symbols (https://www.crockford.com/base32.html)
and one more that checks them, ``XXXX-XXXX-XXXX-XXXX-C``. Codes taken over from One API are 128 bits in
32 hexadecimal digits, without a check.

The check is a code of Reed and Solomon with one symbol: over the field of 32 elements, the sum of all
seventeen symbols, each times a power of its own of the field's generator, is zero. So no single wrong symbol
and no two symbols that changed places go unnoticed. ``static/js/portal.js`` has it once more.
"""

import base64
import sys
import unicodedata
from array import array
from typing import Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from oneapi_admin.lib.errors import DomainError

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, which people misread."""
RANDOM_BYTES: Final = 10
SYMBOLS: Final = 17
"""Of a code made here, the check among them."""
IMPORTED_SYMBOLS: Final = 32
HINT_SYMBOLS: Final = 4

_VALUES: Final = {symbol: value for value, symbol in enumerate(ALPHABET)}
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})
_RFC_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_FROM_RFC: Final = str.maketrans(_RFC_ALPHABET, ALPHABET)
_TO_RFC: Final = str.maketrans(ALPHABET, _RFC_ALPHABET)
_REDUCER: Final = 0b100101
"""x⁵ + x² + 1, of which the generator x is a root."""


class CodeMistypedError(DomainError):
    """Something that no code can be. It is known without looking, so it says nothing about any code."""

    code = "code_mistyped"
    http_status = 422


class WrongSymbolError(CodeMistypedError):
    message = _("There is a typing error in this code: its last character does not fit the others.")
    remedy = _("Compare it with the code that you were given. This did not count as an attempt.")


class WrongLengthError(CodeMistypedError):
    message = ngettext_lazy(
        "This has %(count)s character; codes have %(symbols)s.",
        "This has %(count)s characters; codes have %(symbols)s.",
        "count",
    )
    remedy = _("Compare it with the code that you were given. This did not count as an attempt.")


class UnknownSymbolError(CodeMistypedError):
    message = _("“%(symbol)s” occurs in no code.")
    remedy = _("Compare it with the code that you were given. This did not count as an attempt.")


def read(text: str) -> bytes:
    """The bits of a code as a person typed or pasted it.

    Case, width, spaces and dashes do not matter, O is 0, I and L are 1.

    :returns: 10 bytes, or 16 for a code of One API
    :raises CodeMistypedError: if it cannot be a code, whichever were made
    """
    symbols = normalized(text)
    if len(symbols) == IMPORTED_SYMBOLS:
        return _read_imported(symbols)
    for symbol in symbols:
        if symbol not in _VALUES:
            raise UnknownSymbolError(symbol=symbol)
    if len(symbols) != SYMBOLS:
        raise WrongLengthError(count=len(symbols), symbols=SYMBOLS)
    if check_symbol(symbols[:-1]) != symbols[-1]:
        raise WrongSymbolError
    return base64.b32decode(symbols[:-1].translate(_TO_RFC))


def normalized(text: str) -> str:
    """The letters and digits of a text, as codes are written."""
    signs = (sign for sign in unicodedata.normalize("NFKC", text) if sign.isalnum())
    return "".join(signs).upper().translate(_READ_AS)


def written(random: bytes) -> list[str]:
    """Write codes as people see them.

    :param random: 10 bytes for each of them
    """
    symbols = base64.b32encode(random).decode().translate(_FROM_RFC)
    return [_grouped(symbols[start : start + 16]) for start in range(0, len(symbols), 16)]


def hints(random: bytes) -> list[bytes]:
    """The last four symbols that carry bits, in ASCII, by which people tell codes apart.

    :param random: 10 bytes for each code
    """
    halves = array("H", random)  # five of 16 bits for each code
    if sys.byteorder == "little":
        halves.byteswap()
    lasts = zip(halves[3::5], halves[4::5], strict=True)
    return [_PAIRS[(third & 15) << 6 | last >> 10] + _PAIRS[last & 1023] for third, last in lasts]


def check_symbol(symbols: str) -> str:
    """The symbol that follows sixteen others."""
    check = 0
    for symbol in symbols:
        check = _times_generator(check ^ _VALUES[symbol])
    return ALPHABET[check]


def _read_imported(symbols: str) -> bytes:
    try:
        return bytes.fromhex(symbols)
    except ValueError:
        raise WrongLengthError(count=len(symbols), symbols=SYMBOLS) from None


def _grouped(symbols: str) -> str:
    groups = (symbols[start : start + 4] for start in range(0, 16, 4))
    return "-".join((*groups, check_symbol(symbols)))


def _times_generator(value: int) -> int:
    doubled = value << 1
    return doubled ^ _REDUCER if doubled & 0b100000 else doubled


_PAIRS: Final = [(first + second).encode() for first in ALPHABET for second in ALPHABET]
