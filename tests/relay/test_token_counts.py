"""The bound of a prompt, which must never be below what a provider counts."""

import json
from typing import Any

import bpe_openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.token_counts import bound_prompt, count_prompt, count_text
from sandbox import tokens as sandbox_tokens

quick = settings(deadline=None, max_examples=60)
characters = st.one_of(
    st.characters(codec="utf-8"),
    st.sampled_from(list("的一是不了人我在有他这为之大来以个中上们 \n\t")),
    st.sampled_from(["💥", "👩\u200d👩\u200d👧", "🇨🇳", "e\u0301", "ﷺ", "あ", "한"]),
)
texts = st.lists(characters, max_size=60).map("".join)
parts = st.one_of(
    texts.map(lambda text: {"type": "text", "text": text}),
    st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
)
messages = st.lists(
    st.builds(
        lambda content: {"role": "user", "content": content},
        st.one_of(texts, st.none(), st.lists(parts, max_size=3)),
    ),
    min_size=1,
    max_size=4,
)


def body(*contents: Any, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content} for content in contents], **fields}


@quick
@given(messages)
def test_the_bound_is_never_below_what_the_sandbox_counts(chat: list[dict[str, Any]]) -> None:
    bound = bound_prompt(body={"messages": chat}, model="sandbox-echo")

    assert bound >= sandbox_tokens.count_prompt(chat)


@quick
@given(texts)
def test_the_bound_of_other_models_is_never_below_a_vocabulary_of_bytes(text: str) -> None:
    bound = bound_prompt(body=body(text), model="deepseek-chat")

    assert bound >= max(count_text(text), len(text.encode()))


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
    ],
)
def test_the_bound_of_openais_models_covers_the_count_in_their_own_vocabulary(model, vocabulary) -> None:
    encoding = bpe_openai.get_encoding(vocabulary)
    samples = [
        "额度不足，请充值。" * 40,
        "The quick brown fox. " * 40,
        "💥👩‍👩‍👧🇨🇳" * 40,
        "x" * 200,
        "مرحبا" * 40,
    ]

    bounds = [bound_prompt(body=body(sample), model=model) for sample in samples]

    assert all(
        bound >= len(encoding.encode_ordinary(sample)) + 4
        for bound, sample in zip(bounds, samples, strict=True)
    )


def test_the_bound_of_openais_models_is_close() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 100

    assert bound_prompt(body=body(text), model="gpt-4o") < count_text(text) + 60


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "sandbox-echo"])
def test_half_a_surrogate_pair_is_counted_and_crashes_nothing(model: str) -> None:
    chat = json.loads(r'{"messages": [{"role": "user", "content": "\ud83d and \udca5", "\ud800": "\udfff"}]}')

    assert bound_prompt(body=chat, model=model) > 0
    assert count_prompt(body=chat) > 0


def test_tools_formats_and_tool_calls_count_because_models_read_them() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "d" * 500}}]
    plain = bound_prompt(body=body("hi"), model="m")

    assert bound_prompt(body=body("hi", tools=tools), model="m") > plain + 500
    assert bound_prompt(body=body("hi", functions=tools), model="m") > plain + 500
    assert bound_prompt(body=body("hi", response_format={"schema": "s" * 500}), model="m") > plain + 500
    calls = {"role": "assistant", "content": None, "tool_calls": [{"arguments": "a" * 500}]}
    assert bound_prompt(body={"messages": [calls]}, model="m") > 500


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_an_image_counts_as_much_as_the_largest_one_and_not_by_its_bytes(model: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}

    assert 3_000 <= bound_prompt(body=body([image]), model=model) < 3_100
    assert 6_000 <= bound_prompt(body=body([image, image]), model=model) < 6_200


@pytest.mark.parametrize(
    "content",
    [7, True, None, {"type": "text"}, [None], ["text"], [["nested"]], [{"type": "text", "text": 7}], [{}]],
)
def test_odd_contents_are_counted_as_they_are_written(content: Any) -> None:
    assert bound_prompt(body=body(content), model="m") >= len(json.dumps(content))


def test_an_empty_answer_has_no_tokens() -> None:
    assert count_text("") == 0


def test_a_text_of_any_length_is_counted() -> None:
    long = "word " * 300_000

    assert 300_000 <= count_text(long) <= 300_010
    assert bound_prompt(body=body(long), model="gpt-4o") >= 300_000
