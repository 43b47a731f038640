"""Our arithmetic on the catalogue's prices against the catalogue's own."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import genai_prices
import pytest
from genai_prices import Usage, data_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import catalogue
from billing.pricing import TokenCounts, call_quota
from tests.factories import NOON

MIDNIGHT = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
WEIGHT_PER_USD = 10**15
MODELS = [
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1-mini",
    "gpt-5",
    "gpt-3.5-turbo",
    "o3",
    "o4-mini",
    "claude-sonnet-4-5",
    "claude-opus-4-1",
    "claude-3-5-haiku-latest",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "gemini-3-pro-preview",
    "deepseek-chat",
    "deepseek-reasoner",
    "mistral-large-latest",
    "grok-4",
    "kimi-k2-0905-preview",
    "command-r-plus",
]


def catalogue_usd(model: str, counts: TokenCounts, at: datetime) -> Fraction:
    usage = Usage(
        input_tokens=counts.prompt, output_tokens=counts.completion, cache_read_tokens=counts.cached
    )
    calculated = genai_prices.calc_price(usage, model, genai_request_timestamp=at)
    return Fraction(calculated.total_price)


def our_usd(model: str, counts: TokenCounts, at: datetime) -> Fraction:
    rate = catalogue.find_rate(model=model, at=at)
    assert rate is not None
    return Fraction(rate.weight(counts), WEIGHT_PER_USD)


@settings(deadline=None, max_examples=250)
@given(
    model=st.sampled_from(MODELS),
    prompt=st.one_of(st.integers(0, 1_000), st.integers(0, 1_000_000), st.integers(199_999, 200_001)),
    completion=st.integers(0, 200_000),
    share=st.fractions(0, 1),
    at=st.sampled_from([NOON, MIDNIGHT]),
)
def test_a_call_weighs_what_the_catalogue_itself_says(model, prompt, completion, share, at) -> None:
    counts = TokenCounts(prompt=prompt, completion=completion, cached=int(prompt * share))

    assert our_usd(model, counts, at) == catalogue_usd(model, counts, at)


def test_every_model_of_the_catalogue_weighs_what_the_catalogue_says() -> None:
    counts = [
        TokenCounts(prompt=prompt, completion=997, cached=prompt // 3)
        for prompt in (0, 1, 1_009, 131_073, 262_145, 1_100_000)
    ]
    models = {model.id for provider in data_snapshot.get_snapshot().providers for model in provider.models}
    priced = {model for model in models if catalogue.find_rate(model=model, at=NOON) is not None}

    wrong = {
        model
        for model in priced
        for count in counts
        if our_usd(model, count, NOON) != catalogue_usd(model, count, NOON)
    }

    assert len(priced) > 200
    assert wrong == set()


def test_the_long_prompt_tier_of_gemini_is_known() -> None:
    rate = catalogue.find_rate(model="gemini-2.5-pro", at=NOON)

    assert rate is not None
    assert [tier.above for tier in rate.tiers] == [-1, 200_000]
    assert rate.tiers[1].input == 2 * rate.tiers[0].input


def test_deepseek_costs_less_at_night() -> None:
    counts = TokenCounts(prompt=1_000_000, completion=0)

    assert our_usd("deepseek-chat", counts, NOON) == 2 * our_usd("deepseek-chat", counts, MIDNIGHT)


def test_a_price_change_counts_from_its_day_on() -> None:
    counts = TokenCounts(prompt=1_000_000, completion=0)
    before = datetime(2025, 6, 9, 12, tzinfo=UTC)

    assert our_usd("o3", counts, before) == 10
    assert our_usd("o3", counts, NOON) == 2


def test_a_dollar_of_gpt_4o_is_500_000_units() -> None:
    rate = catalogue.find_rate(model="gpt-4o", at=NOON)

    assert rate is not None
    assert call_quota(rate, TokenCounts(prompt=400_000, completion=0), Decimal(1)) == 500_000


def test_prices_name_the_version_of_the_catalogue() -> None:
    rate = catalogue.find_rate(model="gpt-4o", at=NOON)

    assert rate is not None
    assert rate.version == catalogue.VERSION
    assert catalogue.VERSION.removeprefix("catalogue:")[0].isdigit()


@pytest.mark.parametrize("model", ["no-such-model", "", " ", "gpt", "💥", "m" * 128, "sandbox-echo", "\0"])
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert catalogue.find_rate(model=model, at=NOON) is None
