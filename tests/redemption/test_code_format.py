"""How codes are written and read."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redemption import code_format
from redemption.code_format import (
    ALPHABET,
    CodeMistypedError,
    UnknownSymbolError,
    WrongLengthError,
    WrongSymbolError,
)

quick = settings(deadline=None, max_examples=100)
bits = st.binary(min_size=10, max_size=10)


def symbols_of(random: bytes) -> str:
    return code_format.written(random)[0].replace("-", "")


@quick
@given(bits)
def test_what_is_written_reads_as_what_it_was(random: bytes) -> None:
    [code] = code_format.written(random)

    assert [len(part) for part in code.split("-")] == [4, 4, 4, 4, 1]
    assert set(code) <= {*ALPHABET, "-"}
    assert code_format.read(code) == random
    assert code_format.hints(random) == [code.split("-")[3].encode()]


def test_many_codes_are_written_in_their_order() -> None:
    random = secrets.token_bytes(10 * 1000)

    codes = code_format.written(random)

    assert b"".join(map(code_format.read, codes)) == random
    assert code_format.hints(random) == [code.split("-")[3].encode() for code in codes]


def test_a_code_is_known_from_the_alphabets_own_page() -> None:
    """Sixteen times the five bits 0 to 15, by hand: 0123456789ABCDEF."""
    number = 0
    for value in range(16):
        number = number << 5 | value

    [code] = code_format.written(number.to_bytes(10, "big"))

    assert code.startswith("0123-4567-89AB-CDEF-")


def test_the_alphabet_has_none_of_the_letters_that_people_misread() -> None:
    assert len(ALPHABET) == len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


@pytest.mark.parametrize("_attempt", range(5))
def test_no_single_wrong_symbol_goes_unnoticed(_attempt: int) -> None:
    code = symbols_of(secrets.token_bytes(10))

    for place in range(17):
        for symbol in set(ALPHABET) - {code[place]}:
            with pytest.raises(WrongSymbolError):
                code_format.read(code[:place] + symbol + code[place + 1 :])


@pytest.mark.parametrize("_attempt", range(5))
def test_no_two_symbols_that_changed_places_go_unnoticed(_attempt: int) -> None:
    code = symbols_of(secrets.token_bytes(10))

    for first in range(17):
        for second in range(first):
            if code[first] != code[second]:
                swapped = list(code)
                swapped[first], swapped[second] = code[second], code[first]
                with pytest.raises(WrongSymbolError):
                    code_format.read("".join(swapped))


@quick
@given(st.text(max_size=200))
def test_any_text_reads_as_a_code_or_is_said_to_be_none(text: str) -> None:
    try:
        found = len(code_format.read(text))
    except CodeMistypedError as error:
        found = len(error.full_text)

    assert found


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("0000-0000-0000-0000-1", WrongSymbolError, "typing error"),
        ("0000-0000-0000-0000", WrongLengthError, "16 characters; codes have 17"),
        ("0000-0000-0000-0000-00", WrongLengthError, "18 characters; codes have 17"),
        ("0", WrongLengthError, "1 character; codes have 17"),
        ("", WrongLengthError, "0 characters"),
        ("0000-0000-U000-0000-0", UnknownSymbolError, "“U” occurs in no code"),
        ("0000-0000-额000-0000-0", UnknownSymbolError, "“额”"),
        ("g" * 32, WrongLengthError, "32 characters; codes have 17"),
    ],
)
def test_it_says_what_is_wrong_and_that_it_costs_nothing(
    text: str, error: type[CodeMistypedError], says: str
) -> None:
    with pytest.raises(error) as refused:
        code_format.read(text)

    assert says in str(refused.value)
    assert "did not count" in refused.value.remedy_text


def test_a_code_of_one_api_reads_as_its_128_bits() -> None:
    found = code_format.read("0123456789ABCDEF0123456789abcdef")

    assert found == bytes.fromhex("0123456789abcdef" * 2)
