"""Counting and bounding the tokens of prompts and answers."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import bpe_openai

_PER_MESSAGE = 8
"""More than any known chat format adds around a message (OpenAI's adds 3 or 4)."""
_PER_PROMPT = 16
_PER_IMAGE = 3_000
"""More than OpenAI's 1,445 for a large image in high detail on models with 170-token tiles."""
_PIECE = 500_000
"""Characters: the encoder refuses 1,000,000; each cut makes a token or two more, at the most."""
_BYTES_PER_TOKEN = 4
"""About so many of English text; of Chinese it is 3 or 4."""
_OPENAI_FAMILIES = ("gpt-", "chatgpt-", "o1", "o3", "o4")
_NEWEST = "o200k_base"
_OLDER_FAMILIES = ("gpt-4-", "gpt-3")
_OLDER = "cl100k_base"
"""Of ``gpt-4`` and ``gpt-3.5``. Source: github.com/openai/tiktoken, tiktoken/model.py."""


def bound_prompt(*, body: dict[str, Any], model: str) -> int:
    """An upper bound of the prompt's tokens.

    Text of OpenAI's models is counted with their own vocabulary. For others it is its length
    in UTF-8 bytes: their tokenizers work on bytes or on whole characters, so no text makes
    more tokens than it has bytes.
    """
    texts, images = _texts_and_images(body)
    if model.startswith(_OPENAI_FAMILIES):
        is_older = model == "gpt-4" or model.startswith(_OLDER_FAMILIES)
        size = sum(count_text(text, vocabulary=_OLDER if is_older else _NEWEST) for text in texts)
    else:
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return size + images * _PER_IMAGE + len(body["messages"]) * _PER_MESSAGE + _PER_PROMPT


def rough_prompt(*, bound: int, model: str) -> int:
    """About how many tokens a prompt has whose upper bound is known."""
    return bound if model.startswith(_OPENAI_FAMILIES) else -(-bound // _BYTES_PER_TOKEN)


def count_prompt(*, body: dict[str, Any]) -> int:
    """The best estimate of the prompt's tokens, for answers that report no usage."""
    texts, images = _texts_and_images(body)
    return sum(count_text(text) for text in texts) + images * _PER_IMAGE + len(body["messages"]) * 4


def count_text(text: str, *, vocabulary: str = _NEWEST) -> int:
    """Tokens of a text in a vocabulary of OpenAI's, the newest public one unless named."""
    encode, sendable = _encoding(vocabulary).encode_ordinary, text.encode("utf-8", "replace").decode()
    return sum(len(encode(sendable[at : at + _PIECE])) for at in range(0, len(sendable), _PIECE))


@lru_cache(maxsize=2)
def _encoding(vocabulary: str) -> bpe_openai.Encoding:
    return bpe_openai.get_encoding(vocabulary)


def _texts_and_images(body: dict[str, Any]) -> tuple[list[str], int]:
    texts: list[str] = []
    images = 0
    for message in body["messages"]:
        for key, value in message.items():
            if key == "content" and isinstance(value, list):
                images += _read_parts(value, texts)
            elif isinstance(value, str):
                texts.append(value)
            else:
                texts.append(_as_text(value))
    # What else reaches the model as text.
    texts += [_as_text(body[name]) for name in ("tools", "functions", "response_format") if body.get(name)]
    return texts, images


def _read_parts(parts: Iterable[Any], texts: list[str]) -> int:
    images = 0
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "image_url":
            images += 1
        elif kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            texts.append(_as_text(part))
    return images


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
