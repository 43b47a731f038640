"""The calls that the benchmark makes, and what a right answer to each of them is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

MODEL = "sandbox-echo"
CHUNKS = 20
_WORDS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
"""The sandbox echoes them, one word a chunk."""


class WrongAnswerError(Exception):
    """A server does not answer as it has to; measuring it would mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A kind of call."""

    name: str
    is_stream: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        body = {"model": MODEL, "messages": [{"role": "user", "content": _WORDS}], **self.extra}
        if self.is_stream:
            body["stream"] = True
        return json.dumps(body).encode()

    def check(self, status: int, body: bytes) -> None:
        """
        :raises WrongAnswerError: if it is not the whole answer, in as many chunks as asked for
        """
        try:
            text, parts = _stream_text(body) if self.is_stream else _whole_text(body)
        except (ValueError, LookupError, TypeError):
            text, parts = "", 0
        if status != 200 or text.strip() != _WORDS or parts != (CHUNKS if self.is_stream else 1):
            raise WrongAnswerError(f"{self.name}: {status}, {parts} parts: {body[:500]!r}")


JSON = Shape(name="JSON")
SSE = Shape(name=f"SSE, {CHUNKS} chunks", is_stream=True)
PACED = Shape(
    name=f"SSE, {CHUNKS} chunks 1 ms apart",
    is_stream=True,
    extra={"sandbox": {"chunks": CHUNKS, "delay_ms": 1}},
)
SHAPES: Sequence[Shape] = (JSON, SSE, PACED)


def _whole_text(body: bytes) -> tuple[str, int]:
    choices = json.loads(body)["choices"]
    return choices[0]["message"]["content"], len(choices)


def _stream_text(body: bytes) -> tuple[str, int]:
    events = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    if events.pop() != b"[DONE]":
        raise ValueError("the stream was cut")
    deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
    texts = [delta["content"] for delta in deltas if delta.get("content")]
    return "".join(texts), len(texts)
