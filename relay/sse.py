"""Passing a stream of server-sent events on, while reading its usage."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from billing.pricing import TokenCounts
from relay.errors import dump
from relay.usage import read_usage

DONE = b"data: [DONE]\n\n"
_EVENT_END = re.compile(rb"\r?\n\r?\n")
_NULL_USAGES = (b',"usage":null', b', "usage": null')
"""What providers write on every event; only ever structure: inside a JSON text the quotes are escaped."""


class EventFilter:
    """Takes what arrives from upstream and gives what goes to the caller.

    Whole events only; the final ``[DONE]`` is held back, so that the caller's last words
    can be written once the call is settled. Only events that may say something about usage,
    errors or the end are parsed: on all others that would cost more than the whole rest of the call.
    """

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._rest = b""
        self._events: list[bytes] = []
        self._covered = 0
        """How many of the events the usage is about: those up to its own."""
        self.usage: TokenCounts | None = None
        self.is_done = False
        self.has_error = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes to pass on now; possibly none."""
        data = self._rest + chunk
        end = _end_of_whole_events(data)
        whole, self._rest = data[:end], data[end:]
        if not whole or self.is_done:
            return b""
        if (plain := self._plain(whole)) is not None:
            self._events.append(whole)
            return plain
        return b"".join(self._filtered(_split(whole)))

    def finish(self) -> bytes:
        """The last event of a stream that ended without the blank line after it."""
        return self.feed(b"\n\n") if self._rest.strip() else b""

    def served_text(self) -> str:
        """What the events so far said."""
        return _text_of(self._events)

    def unreported_text(self) -> str:
        """What the events said that no usage covers, for counting it."""
        is_covered = self.usage is not None and self.usage.completion
        return _text_of(self._events[self._covered :]) if is_covered else self.served_text()

    def _plain(self, events: bytes) -> bytes | None:
        """What passes of events that say nothing of usage, errors or the end; None if they may."""
        without_usage = events
        for null_usage in _NULL_USAGES:
            without_usage = without_usage.replace(null_usage, b"")
        if b'"usage"' in without_usage or b"[DONE]" in events or b'"error"' in events:
            return None
        return events if self._wants_usage else without_usage

    def _filtered(self, events: Iterator[bytes]) -> Iterator[bytes]:
        for event in events:
            if (plain := self._plain(event)) is not None:
                self._events.append(event)
                yield plain
                continue
            if _payload(event) == b"[DONE]":
                self.is_done = True
                return
            self._events.append(event)
            parsed = _data(event) or {}
            self.has_error = self.has_error or bool(parsed.get("error"))
            usage = read_usage(parsed.get("usage"))
            if usage is not None:
                self.usage, self._covered = usage, len(self._events)
            if self._wants_usage or "usage" not in parsed:
                yield event
            elif parsed.get("choices") or not parsed["usage"]:
                del parsed["usage"]
                yield b"data: " + dump(parsed) + b"\n\n"


def _end_of_whole_events(data: bytes) -> int:
    if data.endswith((b"\n\n", b"\r\n\r\n")):
        return len(data)
    return max((match.end() for match in _EVENT_END.finditer(data)), default=0)


def _text_of(events: Iterable[bytes]) -> str:
    return "".join(text for whole in events for event in _split(whole) for text in _texts(_data(event)))


def _split(whole: bytes) -> Iterator[bytes]:
    start = 0
    for end in _EVENT_END.finditer(whole):
        yield whole[start : end.end()]
        start = end.end()


def _payload(event: bytes) -> bytes:
    return b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))


def _data(event: bytes) -> dict[str, Any] | None:
    """What an event says; a provider that streams nothing answers with one JSON object, which counts too."""
    try:
        parsed = json.loads(_payload(event) or event)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _texts(parsed: dict[str, Any] | None) -> Iterator[str]:
    choices = parsed.get("choices") if parsed else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield from answer_texts(choice.get("delta") or choice.get("message"))


def answer_texts(message: Any) -> Iterator[str]:
    """Every text that a message or a delta of one carries and that was generated."""
    if not isinstance(message, dict):
        return
    for key, value in message.items():
        if key == "role":
            continue
        if isinstance(value, str):
            yield value
        elif value:
            yield json.dumps(value, ensure_ascii=False)
