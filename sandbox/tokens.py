"""How the sandbox counts tokens: a simple rule that gives the same number everywhere.

* A text has one token per whitespace-separated word and one per CJK character (ideographs, kana, hangul, and
  CJK and full-width punctuation), and at least one.
* A message has the tokens of its text plus ``MESSAGE_OVERHEAD``. Of a multi-part content only the text parts
  count; images, names, tool calls and tool definitions are free.

Every token but the minimum takes at least one byte, so a prompt never has more tokens than the UTF-8 bytes of
its contents plus eight per message: a bound counted in bytes is truly an upper bound.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MESSAGE_OVERHEAD: Final = 4
"""Tokens added to each message of a prompt."""

_CJK: Final = (
    "\u3001-\u303f\u3040-\u30ff\u3100-\u312f\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\uff01-\uffef\U00020000-\U000323af"
)
_CJK_CHARACTER: Final = re.compile(f"[{_CJK}]")
_PIECE: Final = re.compile(rf"\s*(?:[{_CJK}]|[^\s{_CJK}]+)")
_ASCII_PIECE: Final = re.compile(r"\s*\S+")


def count_text(text: str) -> int:
    """Count the tokens of a text; at least one, even when it is empty."""
    return _count(text) or 1


def count_prompt(messages: Sequence[Mapping[str, Any]]) -> int:
    """Count the tokens of a chat prompt.

    :param messages: as in a chat request; ``content`` is a string, a list of parts, or null
    """
    return sum(_count_message(message.get("content")) for message in messages)


def split_text(text: str) -> list[str]:
    """Split a text into pieces of one token each, every piece with the whitespace before it.

    The text is their concatenation, but for whitespace at its end; an empty text has no pieces.
    """
    return (_ASCII_PIECE if text.isascii() else _PIECE).findall(text)


def content_text(content: object) -> str:
    """Return the text of a message's content; several text parts are joined by line breaks."""
    if isinstance(content, str):
        return content
    return "\n".join(_text_parts(content))


def _count_message(content: object) -> int:
    if isinstance(content, str):
        return MESSAGE_OVERHEAD + count_text(content)
    return MESSAGE_OVERHEAD + (sum(_count(text) for text in _text_parts(content)) or 1)


def _count(text: str) -> int:
    if text.isascii():
        return len(text.split())
    spaced, cjk = _CJK_CHARACTER.subn(" ", text)
    return len(spaced.split()) + cjk


def _text_parts(content: object) -> list[str]:
    if not isinstance(content, list):
        return []
    return [part["text"] for part in content if part.get("type") == "text"]
