"""What a call costs: pure integer arithmetic on prices per 1,000,000 tokens or per request."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from oneapi_admin.lib.quota import QUOTA_PER_USD

_NANO = 10**9
_MILLION = 10**6
_WEIGHT_PER_USD = _NANO * _MILLION
"""A weight is token count × price in billionths of a dollar per 1,000,000 tokens."""


def nano(usd: Decimal) -> int:
    """Billionths of a dollar, rounded up when the price is finer than that."""
    return int((usd * _NANO).to_integral_value(rounding=ROUND_CEILING))


def micro(multiplier: Decimal) -> int:
    return int(multiplier.scaleb(6).to_integral_value(rounding=ROUND_CEILING))


@dataclass(frozen=True, slots=True, kw_only=True)
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

    @property
    def is_free(self) -> bool:
        if self.request is not None:
            return self.request == 0
        return all(not (tier.input or tier.cached_input or tier.output) for tier in self.tiers)

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
            for tier in self.tiers
            if tier.above < counts.prompt or tier.above < 0
        )

    def _tier(self, prompt_tokens: int) -> Tier:
        return next(tier for tier in reversed(self.tiers) if prompt_tokens > tier.above)


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
        for tier in rate.tiers
        if tier.output and (tier.above < prompt_tokens or tier.above < 0)
    ]
    return min(limits, default=None)
