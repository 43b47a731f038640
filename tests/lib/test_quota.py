from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneapi_admin.lib.quota import MAX_QUOTA, QUOTA_PER_USD, format_usd, from_usd, to_usd

quick = settings(deadline=None, max_examples=100)
amounts = st.integers(-MAX_QUOTA, MAX_QUOTA)
fine_amounts = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12)


def test_one_dollar_is_500_000_units() -> None:
    assert from_usd(Decimal(1)) == QUOTA_PER_USD == 500_000


@quick
@given(amounts)
def test_any_amount_survives_the_way_to_dollars_and_back(quota: int) -> None:
    usd = to_usd(quota)

    assert isinstance(usd, Decimal)
    assert Fraction(usd) == Fraction(quota, QUOTA_PER_USD)
    assert from_usd(usd) == quota


@quick
@given(amounts)
def test_what_is_shown_reads_back_as_the_same_amount(quota: int) -> None:
    shown = format_usd(quota)

    assert from_usd(Decimal(shown.replace("−", "-").replace("$", "").replace(",", ""))) == quota


@quick
@given(fine_amounts.filter(lambda usd: (Fraction(usd) * QUOTA_PER_USD).denominator == 1))
def test_a_whole_number_of_units_is_converted_exactly(usd: Decimal) -> None:
    assert Fraction(from_usd(usd)) == Fraction(usd) * QUOTA_PER_USD


@quick
@given(fine_amounts.filter(lambda usd: (Fraction(usd) * QUOTA_PER_USD).denominator != 1))
def test_an_amount_finer_than_one_unit_is_refused(usd: Decimal) -> None:
    with pytest.raises(ValueError, match="finer"):
        from_usd(usd)


@pytest.mark.parametrize(
    "usd",
    ["0.000001", "0.0000021", "1.00000000000000000000000000000000000000000001", "-0.0000001"],
)
def test_amounts_between_two_units_are_refused_however_many_digits_they_have(usd: str) -> None:
    with pytest.raises(ValueError, match="finer"):
        from_usd(Decimal(usd))


@pytest.mark.parametrize("usd", ["NaN", "sNaN", "Infinity", "-Infinity", "9e999999", "-9e999999", "1e30"])
def test_what_no_account_can_have_is_refused(usd: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        from_usd(Decimal(usd))


@pytest.mark.parametrize(
    ("quota", "shown"),
    [
        (0, "$0.00"),
        (1, "$0.000002"),
        (5, "$0.00001"),
        (5_200, "$0.0104"),
        (500_000, "$1.00"),
        (-250_000, "−$0.50"),
        (617_283_728_500_000, "$1,234,567,457.00"),
        (MAX_QUOTA, "$18,014,398,509.481982"),
    ],
)
def test_dollars_are_shown_with_two_to_six_decimals(quota: int, shown: str) -> None:
    assert format_usd(quota) == shown


@pytest.mark.parametrize(("quota", "shown"), [(1, "+$0.000002"), (0, "$0.00"), (-1, "−$0.000002")])
def test_movements_are_shown_with_their_sign(quota: int, shown: str) -> None:
    assert format_usd(quota, signed=True) == shown
