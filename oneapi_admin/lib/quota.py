"""The unit of account: integer quota, for ever 500,000 to one US dollar."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

QUOTA_PER_USD = 500_000
MAX_QUOTA = 2**53 - 1
"""The largest amount that one movement or one balance may have: what JSON readers hold exactly."""

_QUANTUM = Decimal(1) / QUOTA_PER_USD
_MOST_DIGITS = 20


def to_usd(quota: int) -> Decimal:
    """Convert quota units to US dollars, exactly."""
    return Decimal(quota) * _QUANTUM


def from_usd(usd: Decimal) -> int:
    """Convert US dollars to quota units.

    :raises ValueError: if it is no amount, or not a whole number of units (finer than $0.000002)
    """
    if not usd.is_finite() or usd.adjusted() > _MOST_DIGITS:
        raise ValueError("not an amount that an account can have")
    quota = Fraction(usd) * QUOTA_PER_USD
    if quota.denominator != 1:
        raise ValueError("finer than one quota unit, $0.000002")
    return quota.numerator


def format_usd(quota: int, *, signed: bool = False) -> str:
    """Show quota as dollars with 2 to 6 decimals, such as ``$0.0104``; exact, never rounded away."""
    usd = to_usd(abs(quota)).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
    whole, _, decimals = f"{usd:,.6f}".partition(".")
    decimals = decimals.rstrip("0").ljust(2, "0")
    sign = "−" if quota < 0 else "+" if signed and quota > 0 else ""
    return f"{sign}${whole}.{decimals}"
