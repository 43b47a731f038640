"""What a call costs: pure integer arithmetic on prices per 1,000,000 tokens or per request."""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

from oneapi_admin.lib.quota import QUOTA_PER_USD

_NANO = 10**9
_MILLION = 10**6
_WEIGHT_PER_USD = _NANO * _MILLION
"""A weight is token count × price in billionths of a dollar per 1,000,000 tokens."""


def nano(usd: Decimal) -> int:
    """Billionths of a dollar, rounded up when the price is finer than that."""
    return int((usd * _NANO).to_integral_value(rounding=ROUND_CEILING))


@lru_cache(maxsize=1024)
def micro(multiplier: Decimal) -> int:
    return int(multiplier.scaleb(6).to_integral_value(rounding=ROUND_CEILING))


@dataclass(slots=True, kw_only=True)
class TokenCounts:
    """Tokens of one call. ``cached`` are part of ``prompt``; reasoning is part of ``completion``."""

    prompt: int
    completion: int
    cached: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Prices that hold for the whole call once its prompt is longer than ``above`` tokens."""

    above: int
    input: int
    cached_input: int
    output: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A model's price. Amounts are billionths of a dollar, per 1,000,000 tokens or per request."""

    version: str
    """Which price this is, kept on every usage row: ``operator:12`` or ``catalogue:0.2.3``."""
    tiers: tuple[Tier, ...] = ()
    """Ascending; the first one is above −1."""
    request: int | None = None
    """Set instead of tiers when the model is priced per request."""
    max_output_tokens: int | None = None
    is_free: bool = field(init=False)

    def __post_init__(self) -> None:
        prices = (price for tier in self.tiers for price in (tier.input, tier.cached_input, tier.output))
        is_free = not any(prices) if self.request is None else not self.request
        object.__setattr__(self, "is_free", is_free)

    def weight(self, counts: TokenCounts) -> int:
        if self.request is not None:
            return self.request * _MILLION
        tier = self._tier(counts.prompt)
        fresh = counts.prompt - counts.cached
        return fresh * tier.input + counts.cached * tier.cached_input + counts.completion * tier.output

    def highest_weight(self, counts: TokenCounts) -> int:
        """The most that a call with at most these counts can weigh, whatever of its prompt is cached."""
        if self.request is not None:
            return self.request * _MILLION
        return max(
            counts.prompt * max(tier.input, tier.cached_input) + counts.completion * tier.output
            for tier in self.tiers_within(counts.prompt)
        )

    def tiers_within(self, prompt_tokens: int) -> tuple[Tier, ...]:
        """The tiers that a call with at most so long a prompt can fall into; at least the first."""
        if len(self.tiers) == 1:
            return self.tiers
        return tuple(tier for tier in self.tiers if tier.above < max(prompt_tokens, 0))

    def _tier(self, prompt_tokens: int) -> Tier:
        return self.tiers_within(prompt_tokens)[-1]


def quota_of(weight: int, multiplier: Decimal) -> int:
    """Quota units for a weight, rounded up once: at least 1 unless the price is 0."""
    return -(-weight * micro(multiplier) * QUOTA_PER_USD // (_WEIGHT_PER_USD * _MILLION))


def nano_usd_of(weight: int, multiplier: Decimal) -> int:
    """Billionths of a dollar for a weight, rounded up once."""
    return -(-weight * micro(multiplier) // (_MILLION * _MILLION))


def call_quota(rate: Rate, counts: TokenCounts, multiplier: Decimal) -> int:
    """What the caller pays for a served call."""
    quota = quota_of(rate.weight(counts), multiplier)
    is_free = rate.is_free or not multiplier
    return quota if is_free else max(quota, 1)


def estimate_quota(rate: Rate, counts: TokenCounts, multiplier: Decimal) -> int:
    """The most that the caller can pay for a call with at most these counts."""
    quota = quota_of(rate.highest_weight(counts), multiplier)
    is_free = rate.is_free or not multiplier
    return quota if is_free else max(quota, 1)


def affordable_output(rate: Rate, *, prompt_tokens: int, multiplier: Decimal, quota: int) -> int | None:
    """How many tokens of output the quota pays for after the prompt; negative when not even that.

    :returns: None when the output costs nothing, so that no number of tokens is too many
    """
    scaled = micro(multiplier) * QUOTA_PER_USD
    if rate.request is not None or not scaled:
        return None
    weight = quota * _WEIGHT_PER_USD * _MILLION // scaled
    limits = [
        (weight - prompt_tokens * max(tier.input, tier.cached_input)) // tier.output
        for tier in rate.tiers_within(prompt_tokens)
        if tier.output
    ]
    return min(limits, default=None)
