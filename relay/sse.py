"""Passing a stream of server-sent events on, while reading its usage."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from billing.pricing import TokenCounts
from billing.upstream.diagnoses.redaction import redact
from relay.errors import dump
from relay.usage import read_usage

DONE = b"data: [DONE]\n\n"
_EVENT_END = re.compile(rb"\n\r?\n")
_REPORTED_USAGE = re.compile(rb'"usage"\s*:\s*[^\sn]')
_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null')
"""Only ever structure: inside a JSON text the quotes would be escaped."""
_BYTES_PER_TOKEN = 4
_COMMON_NULL_USAGES = (b',"usage":null', b', "usage": null')


class EventFilter:
    """Takes what arrives from upstream and gives what goes to the caller.

    Whole events only; the final ``[DONE]`` is held back, so that the caller's last words
    can be written once the call is settled. Events are parsed only from the first of a chunk
    that may bring usage, an error or the end: parsing all would cost more than the rest of the call.
    """

    def __init__(self, *, wants_usage: bool) -> None:
        self._wants_usage = wants_usage
        self._rest = b""
        self._events: list[bytes] = []
        self._covered = 0
        """How many of the events the usage is about: those up to its own."""
        self._event_count = 0
        self._size = 0
        self._envelope = 0
        """Bytes of the shortest event so far, which says next to nothing."""
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
        self._measure(whole)
        plain = _plain_part(whole)
        if plain:
            self._events.append(plain)
        passing = plain if self._wants_usage else _without_null_usage(plain)
        if len(plain) == len(whole):
            return passing
        return passing + b"".join(self._filtered(_split(whole[len(plain) :])))

    def finish(self) -> bytes:
        """The last event of a stream that ended without the blank line after it."""
        return self.feed(b"\n\n") if self._rest.strip() else b""

    @property
    def rough_tokens(self) -> int:
        """About how many tokens the events so far carried, without reading them: should we crash now."""
        said = self._size - self._event_count * self._envelope
        return max(self._event_count, said // _BYTES_PER_TOKEN)

    def served_text(self) -> str:
        """What the events so far said."""
        return _text_of(self._events)

    def unreported_text(self) -> str:
        """What the events said that no usage covers, for counting it."""
        is_covered = self.usage is not None and self.usage.completion
        return _text_of(self._events[self._covered :]) if is_covered else self.served_text()

    def _measure(self, whole: bytes) -> None:
        count = whole.count(b"\n\n") or 1
        self._event_count += count
        self._size += len(whole)
        self._envelope = min(self._envelope or len(whole), len(whole) // count)

    def _filtered(self, events: Iterator[bytes]) -> Iterator[bytes]:
        for event in events:
            if _payload(event) == b"[DONE]":
                self.is_done = True
                return
            self._events.append(event)
            parsed = _data(event) or {}
            self.has_error = self.has_error or bool(parsed.get("error"))
            usage = read_usage(parsed.get("usage"))
            if usage is not None:
                self.usage, self._covered = usage, len(self._events)
            told = dict(parsed)
            if "error" in parsed:
                told["error"] = _redacted(parsed["error"])
            if (
                not self._wants_usage
                and told.pop("usage", None)
                and not (told.get("choices") or told.get("error"))
            ):
                continue
            yield event if told == parsed else b"data: " + dump(told) + b"\n\n"


def _redacted(error: Any) -> Any:
    """A provider's error without what looks like a key, in its message or wherever else it has a text."""
    if isinstance(error, str):
        return redact(error)
    if isinstance(error, dict):
        return {name: redact(value) if isinstance(value, str) else value for name, value in error.items()}
    return error


def _end_of_whole_events(data: bytes) -> int:
    if data.endswith((b"\n\n", b"\r\n\r\n")):
        return len(data)
    return max((match.end() for match in _EVENT_END.finditer(data)), default=0)


def _plain_part(events: bytes) -> bytes:
    """Those of the events, from the first on, that cannot bring usage, an error or the end."""
    reported = _REPORTED_USAGE.search(events)
    marks = [reported.start() if reported else -1, events.find(b"[DONE]"), events.find(b'"error"')]
    found = [mark for mark in marks if mark >= 0]
    if not found:
        return events
    before, blank_line, _event = events[: min(found)].rpartition(b"\n\n")
    return before + blank_line


def _without_null_usage(events: bytes) -> bytes:
    for null_usage in _COMMON_NULL_USAGES:
        events = events.replace(null_usage, b"")
    return _NULL_USAGE.sub(b"", events) if b'"usage"' in events else events


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
