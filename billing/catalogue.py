"""Public list prices, from the ``genai-prices`` package.

Its own ``calc_price`` spends a quarter of a millisecond a call; prices are read out of it
once and calculated by ``billing.pricing``. A test holds the two to the same results.
"""

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, TieredPrices
from genai_prices.types import ModelPrice as CataloguePrice

from billing.pricing import Rate, Tier, nano

VERSION = f"catalogue:{version('genai-prices')}"
_Price = Decimal | TieredPrices | None


def find_rate(*, model: str, at: datetime) -> Rate | None:
    """The list price of a model at a time; None when the catalogue has none per token for it."""
    info = _find_model(model)
    if info is None:
        return None
    return _rate_of(_Key(info.get_prices(at)))


@lru_cache(maxsize=4096)
def _find_model(model: str) -> ModelInfo | None:
    try:
        _provider, info = data_snapshot.get_snapshot().find_provider_model(model, None, None, None)
    except LookupError:
        return None
    return info


class _Key:
    """Makes a catalogue price, which has no hash of its own, a cache key by identity."""

    def __init__(self, price: CataloguePrice) -> None:
        self.price = price

    def __hash__(self) -> int:
        return id(self.price)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.price is self.price


@lru_cache(maxsize=4096)
def _rate_of(key: _Key) -> Rate | None:
    fields = vars(key.price)
    input_price, output_price = fields.get("input_mtok"), fields.get("output_mtok")
    cached_price = fields.get("cache_read_mtok")
    if input_price is None or output_price is None:
        return None
    starts = {-1}
    for price in (input_price, output_price, cached_price):
        if isinstance(price, TieredPrices):
            starts |= {tier.start for tier in price.tiers}
    tiers = tuple(
        Tier(
            above=start,
            input=_at(input_price, start),
            cached_input=_at(input_price if cached_price is None else cached_price, start),
            output=_at(output_price, start),
        )
        for start in sorted(starts)
    )
    return Rate(version=VERSION, tiers=tiers)


def _at(price: _Price, start: int) -> int:
    if price is None:
        return 0
    if isinstance(price, TieredPrices):
        found = price.base
        for tier in price.tiers:
            if tier.start <= start:
                found = tier.price
        return nano(found)
    return nano(price)
