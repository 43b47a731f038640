import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.tokens import count_prompt, count_text, split_text

CONTENTS = st.one_of(
    st.text(),
    st.none(),
    st.lists(
        st.one_of(
            st.builds(lambda text: {"type": "text", "text": text}, st.text()),
            st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        )
    ),
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 1),
        ("   \n", 1),
        ("one", 1),
        ("one two  three\n", 3),
        ("don't-split, this!", 2),
        ("你好世界", 4),
        ("hello世界 there", 4),
        ("你好,world。", 4),
        ("かな カナ 한글", 6),
        ("naïve café", 2),
    ],
)
def test_a_word_is_a_token_and_so_is_each_cjk_character(text: str, tokens: int) -> None:
    assert count_text(text) == tokens


def test_a_message_costs_four_tokens_more_than_its_text() -> None:
    assert count_prompt([{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]) == 11


def test_only_the_text_parts_of_a_multi_part_content_count() -> None:
    content = [
        {"type": "text", "text": "what is"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "text", "text": "this"},
    ]

    assert count_prompt([{"role": "user", "content": content}]) == 4 + 3


@settings(deadline=None, database=None)
@given(st.lists(CONTENTS, min_size=1, max_size=4))
def test_a_prompt_never_has_more_tokens_than_bytes_of_text_plus_eight_per_message(
    contents: list[Any],
) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    texts = [
        content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])
        for content in contents
    ]

    assert count_prompt(messages) <= sum(len(text.encode()) + 8 for text in texts)
    assert count_prompt(messages) <= len(json.dumps(messages, ensure_ascii=False).encode())


@settings(deadline=None, database=None)
@given(st.text())
def test_the_pieces_of_a_text_are_one_token_each_and_make_up_the_text(text: str) -> None:
    pieces = split_text(text)

    assert [count_text(piece) for piece in pieces] == [1] * len(pieces)
    assert "".join(pieces) == text.rstrip()
    assert (len(pieces) or 1) == count_text(text)
