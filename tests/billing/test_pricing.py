"""The arithmetic of money, by its laws."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.pricing import (
    Rate,
    Tier,
    TokenCounts,
    affordable_output,
    call_quota,
    estimate_quota,
    micro,
    nano,
    nano_usd_of,
    quota_of,
)

quick = settings(deadline=None, max_examples=150)
UNITS_PER_NANO_USD = Fraction(500_000, 10**9)

STARTS = [0, 10, 1_000, 200_000, 1_000_000]
"""Where tiers begin; a count that is exactly one of them still pays the lower tier."""

token_counts = st.one_of(st.integers(0, 50), st.integers(0, 2_000_000), st.sampled_from(STARTS))
prices = st.one_of(st.just(0), st.integers(1, 50), st.integers(0, 100 * 10**9))
multipliers = st.one_of(
    st.sampled_from([Decimal(0), Decimal(1), Decimal("0.000001"), Decimal("0.8"), Decimal("1.333333")]),
    st.decimals(0, 1_000, places=6),
)


@st.composite
def token_rates(draw, output_prices=prices) -> Rate:
    starts = [-1, *sorted(draw(st.sets(st.sampled_from(STARTS), max_size=2)))]
    tiers = tuple(
        Tier(above=start, input=draw(prices), cached_input=draw(prices), output=draw(output_prices))
        for start in starts
    )
    return Rate(version="v", tiers=tiers)


rates = st.one_of(token_rates(), prices.map(lambda price: Rate(version="v", request=price)))


@st.composite
def usages(draw, most: TokenCounts | None = None) -> TokenCounts:
    prompt = draw(token_counts if most is None else st.integers(0, most.prompt))
    completion = draw(token_counts if most is None else st.integers(0, most.completion))
    return TokenCounts(prompt=prompt, completion=completion, cached=draw(st.integers(0, prompt)))


def exact_quota(rate: Rate, counts: TokenCounts, multiplier: Decimal) -> Fraction:
    """What a call costs in quota units, written down as a price list is read."""
    if rate.request is not None:
        return rate.request * UNITS_PER_NANO_USD * Fraction(multiplier)
    tier = [tier for tier in rate.tiers if counts.prompt > tier.above][-1]
    nano_usd = Fraction(
        (counts.prompt - counts.cached) * tier.input
        + counts.cached * tier.cached_input
        + counts.completion * tier.output,
        10**6,
    )
    return nano_usd * UNITS_PER_NANO_USD * Fraction(multiplier)


@quick
@given(rates, usages(), multipliers)
def test_a_call_costs_its_exact_price_rounded_up_once(rate, counts, multiplier) -> None:
    exact = exact_quota(rate, counts, multiplier)

    quota = quota_of(rate.weight(counts), multiplier)

    assert exact <= quota < exact + 1
    assert quota == math.ceil(exact)


@quick
@given(rates, usages(), multipliers)
def test_a_served_call_costs_one_unit_at_least_unless_it_is_free(rate, counts, multiplier) -> None:
    is_free = rate.is_free or not multiplier

    quota = call_quota(rate, counts, multiplier)

    assert quota == max(math.ceil(exact_quota(rate, counts, multiplier)), 0 if is_free else 1)


@quick
@given(rates, usages())
def test_a_multiplier_of_nothing_costs_nothing(rate, counts) -> None:
    assert call_quota(rate, counts, Decimal(0)) == estimate_quota(rate, counts, Decimal(0)) == 0


@quick
@given(rates, usages(), multipliers, st.data())
def test_no_smaller_call_costs_more_than_the_estimate(rate, most, multiplier, data) -> None:
    counts = data.draw(usages(most))

    assert call_quota(rate, counts, multiplier) <= estimate_quota(rate, most, multiplier)


@quick
@given(
    token_rates(prices.map(lambda price: price + 1)),
    token_counts,
    multipliers.map(lambda multiplier: multiplier or Decimal(1)),
    st.integers(1, 10**12),
    token_counts,
)
def test_as_many_tokens_as_are_affordable_can_be_paid_and_not_one_more(
    rate, prompt, multiplier, quota, other
) -> None:
    most = affordable_output(rate, prompt_tokens=prompt, multiplier=multiplier, quota=quota)
    assert most is not None

    for completion in {max(most, 0), max(most, 0) + 1, other}:
        counts = TokenCounts(prompt=prompt, completion=completion)
        is_paid = estimate_quota(rate, counts, multiplier) <= quota
        assert is_paid == (completion <= most)


@pytest.mark.parametrize(
    ("rate", "multiplier"),
    [
        (Rate(version="v", request=5), Decimal(1)),
        (Rate(version="v", tiers=(Tier(above=-1, input=5, cached_input=5, output=0),)), Decimal(1)),
        (Rate(version="v", tiers=(Tier(above=-1, input=5, cached_input=5, output=5),)), Decimal(0)),
    ],
)
def test_output_that_costs_nothing_is_affordable_without_end(rate: Rate, multiplier: Decimal) -> None:
    assert affordable_output(rate, prompt_tokens=10, multiplier=multiplier, quota=0) is None


def test_a_call_of_gpt_4o_costs_what_its_price_list_says() -> None:
    rate = Rate(
        version="v",
        tiers=(
            Tier(
                above=-1,
                input=nano(Decimal("2.5")),
                cached_input=nano(Decimal("1.25")),
                output=nano(Decimal(10)),
            ),
        ),
    )

    quota = call_quota(rate, TokenCounts(prompt=1_000, completion=500, cached=400), Decimal(1))

    assert quota == 3_500  # (600 × 2.5 + 400 × 1.25 + 500 × 10) / 1e6 dollars = $0.007


def test_a_long_prompt_pays_the_higher_tier_for_every_token() -> None:
    low = Tier(above=-1, input=nano(Decimal("1.25")), cached_input=0, output=nano(Decimal(10)))
    high = Tier(above=200_000, input=nano(Decimal("2.5")), cached_input=0, output=nano(Decimal(15)))
    rate = Rate(version="v", tiers=(low, high))

    costs = [
        call_quota(rate, TokenCounts(prompt=prompt, completion=100), Decimal(1))
        for prompt in (200_000, 200_001)
    ]

    assert costs == [125_500, 250_752]


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        ("0", 0),
        ("0.000000001", 1),
        ("0.0000000001", 1),
        ("0.15", 150_000_000),
        ("2.5000000001", 2_500_000_001),
    ],
)
def test_a_price_finer_than_a_billionth_of_a_dollar_is_rounded_up(usd: str, expected: int) -> None:
    assert nano(Decimal(usd)) == expected


@pytest.mark.parametrize(
    ("multiplier", "expected"), [("0", 0), ("1", 1_000_000), ("0.8", 800_000), ("0.0000001", 1)]
)
def test_a_multiplier_is_kept_in_millionths_rounded_up(multiplier: str, expected: int) -> None:
    assert micro(Decimal(multiplier)) == expected


@quick
@given(rates, usages(), multipliers)
def test_what_the_provider_takes_is_rounded_up_to_a_billionth_of_a_dollar(rate, counts, multiplier) -> None:
    exact = exact_quota(rate, counts, multiplier) / UNITS_PER_NANO_USD

    assert nano_usd_of(rate.weight(counts), multiplier) == math.ceil(exact)
