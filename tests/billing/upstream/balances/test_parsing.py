"""What is an amount, and what only looks like one."""

from decimal import Decimal
from typing import Any

import pytest

from billing.upstream.balances import parsing
from billing.upstream.balances.errors import BalanceRefusedError


@pytest.mark.parametrize(
    ("value", "unit", "amount"),
    [
        ("110.00", 1, "110.00"),
        (Decimal("0.1"), 1, "0.1"),
        (7, 100, "0.07"),
        ("-1000", 100, "-10"),
        ("1.5e-3", 1, "0.0015"),
        (Decimal("1e-400"), 1, "0"),
        ("0.1234567890123", 1, "0.123456789012"),
        ("999999999999999999", 1, "999999999999999999"),
    ],
)
def test_an_amount_is_read_exactly(value: Any, unit: int, amount: str) -> None:
    read = parsing.amount({"amount": value}, "amount", unit=unit)

    assert type(read) is Decimal
    assert read == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        True,
        0.1,
        "",
        " 1",
        "1,5",
        "1_0",
        "１２",
        "+1",
        ".5",
        "0x10",
        "NaN",
        "-Infinity",
        "1e9999",
        "1" * 41,
        Decimal("NaN"),
        Decimal("Infinity"),
        10**18,
        -(10**18),
        [],
        {},
    ],
    ids=repr,
)
def test_what_only_looks_like_an_amount_is_refused(value: Any) -> None:
    with pytest.raises(BalanceRefusedError, match="not as documented: amount"):
        parsing.amount({"amount": value}, "amount")


def test_currencies_are_added_up_each_by_itself() -> None:
    parts = [("USD", Decimal("0.1")), ("EUR", Decimal(1)), ("USD", Decimal("0.2"))]

    assert parsing.sums(parts) == {"USD": Decimal("0.3"), "EUR": Decimal(1)}
