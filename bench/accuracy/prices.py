"""What calls cost, calculated apart from the product: with fractions, from the prices that were set."""

import math
from decimal import Decimal
from fractions import Fraction

QUOTA_PER_USD = 500_000
INPUT_PRICE = Decimal("0.37")
OUTPUT_PRICE = Decimal("1.91")
"""US dollars for a million tokens; odd, so that nearly every call has to be rounded up."""
MULTIPLIERS = {"default": Decimal(1), "reduced": Decimal("0.7")}
"""What members of a group pay."""


def price(prompt_tokens: int, answer_tokens: int, multiplier: Decimal) -> int:
    """Quota units for a served call, rounded up once."""
    usd = (prompt_tokens * Fraction(INPUT_PRICE) + answer_tokens * Fraction(OUTPUT_PRICE)) / 1_000_000
    return math.ceil(usd * Fraction(multiplier) * QUOTA_PER_USD)
