"""The usage objects of providers, in the forms that are known."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.pricing import TokenCounts
from relay.usage import read_usage

quick = settings(deadline=None, max_examples=200)
anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
)


def counts(prompt: int, completion: int, cached: int = 0) -> TokenCounts:
    return TokenCounts(prompt=prompt, completion=completion, cached=cached)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, counts(10, 5)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            counts(10, 5, 4),
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_cache_hit_tokens": 6,
                "prompt_cache_miss_tokens": 4,
            },
            counts(10, 5, 6),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": None}, counts(10, 0)),
        ({"prompt_tokens": 10, "total_tokens": 10}, counts(10, 0)),
        ({"prompt_tokens": 10.0, "completion_tokens": 5.0}, counts(10, 5)),
        ({"prompt_tokens": 10, "completion_tokens": None}, counts(10, 0)),
        ({"prompt_tokens": -3, "completion_tokens": 5}, counts(0, 5)),
        ({"prompt_tokens": float("-inf"), "completion_tokens": 5}, counts(0, 5)),
    ],
)
def test_usage_is_read_in_every_form_that_providers_use(usage: dict[str, Any], expected) -> None:
    assert read_usage(usage) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 99}, counts(10, 5, 10)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 2},
                "prompt_cache_hit_tokens": 9,
            },
            counts(10, 5, 2),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": -2}, counts(10, 5, 0)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}, counts(10, 35)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 2}, counts(10, 5)),
    ],
)
def test_counts_that_contradict_each_other_give_nothing_away(usage: dict[str, Any], expected) -> None:
    assert read_usage(usage) == expected


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        "10",
        {},
        {"input_tokens": 3},
        {"prompt_tokens": None, "completion_tokens": None},
        {"prompt_tokens": True, "completion_tokens": False},
        {"prompt_tokens": "10", "completion_tokens": "5"},
        {"prompt_tokens": 2**53, "completion_tokens": 2**60},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"prompt_tokens": 2**60, "completion_tokens": 5},
        {"prompt_tokens": 10, "completion_tokens": "5"},
        {"completion_tokens": 5},
    ],
)
def test_what_cannot_be_believed_is_no_usage_so_that_the_call_is_estimated(usage: Any) -> None:
    assert read_usage(usage) is None


@quick
@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "prompt_cache_hit_tokens"]),
        anything,
    ),
    st.one_of(anything, st.dictionaries(st.just("cached_tokens"), anything)),
)
def test_whatever_a_provider_sends_gives_whole_counts_in_order(usage: dict[str, Any], details: Any) -> None:
    read = read_usage({**usage, "prompt_tokens_details": details}) or counts(0, 0)

    assert 0 <= read.cached <= read.prompt < 2**53
    assert 0 <= read.completion < 2**53
    assert all(type(count) is int for count in (read.prompt, read.completion, read.cached))
