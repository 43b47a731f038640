"""The unit of account: integer quota, for ever 500,000 to one US dollar."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

QUOTA_PER_USD = 500_000
MAX_QUOTA = 2**53 - 1
"""The largest amount that one movement or one balance may have: what JSON readers hold exactly."""

_QUANTUM = Decimal(1) / QUOTA_PER_USD


def to_usd(quota: int) -> Decimal:
    """Convert quota units to US dollars, exactly."""
    return Decimal(quota) * _QUANTUM


def from_usd(usd: Decimal) -> int:
    """Convert US dollars to quota units.

    :raises ValueError: if the amount is not a whole number of units (finer than $0.000002)
    """
    try:
        quota = usd * QUOTA_PER_USD
        whole = int(quota.to_integral_value())
    except (InvalidOperation, ValueError, OverflowError) as exc:
        raise ValueError("not a finite amount") from exc
    if quota != whole:
        raise ValueError("finer than one quota unit, $0.000002")
    return whole


def format_usd(quota: int, *, signed: bool = False) -> str:
    """Show quota as dollars with 2 to 6 decimals, such as ``$0.0104``; exact, never rounded away."""
    usd = to_usd(abs(quota)).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)
    whole, _, decimals = f"{usd:,.6f}".partition(".")
    decimals = decimals.rstrip("0").ljust(2, "0")
    sign = "−" if quota < 0 else "+" if signed and quota > 0 else ""
    return f"{sign}${whole}.{decimals}"
