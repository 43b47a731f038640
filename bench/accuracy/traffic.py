"""The calls that are made: how long and when as in real traffic, and of every kind that a relay meets."""

import csv
import itertools
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

TRACE = Path(os.environ.get("ACCURACY_TRACE", ROOT.parent / "shared/data/azure_llm_trace_conv_2023.csv"))
"""Chat requests of a production service: ``TIMESTAMP,ContextTokens,GeneratedTokens``."""

WORDS = ["word", "time", "work", "year", "life", "hand", "part", "case", "week", "fact"]
"""One token each, with or without a space before it, in the relay's vocabulary as in the sandbox's."""
_TEXT = " ".join(WORDS * 2000)
_WORD_SIZE = len(WORDS[0]) + 1
MESSAGE_TOKENS = 4
"""What the sandbox counts for a message beside its words."""
LONGEST_ANSWER = 4096
CHUNKS = 20
CUT_WORDS = 7
_DELAYS_MS = (0, 0, 2, 5, 10)
_LATE_MS = 20
"""What a caller does not wait for who leaves before the answer."""


class Leaves(Enum):
    """When the caller goes away."""

    NEVER = "stays"
    MID_STREAM = "leaves mid-stream"
    BEFORE_ANSWER = "leaves before the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A name that callers ask for, and how its provider behaves."""

    name: str
    served_as: Sequence[str]
    """The sandbox's models behind it, one a channel, the first one tried first; none: a scripted upstream."""
    reports_usage: bool = True
    failure: int | None = None
    """The status that callers of JSON get; None where they get an answer."""
    breaks_streams: bool = False


ECHO = Model(name="accuracy", served_as=("sandbox-echo",))
FAILOVER = Model(name="accuracy-failover", served_as=("sandbox-server-error", "sandbox-echo"))
SILENT = Model(name="accuracy-no-usage", served_as=("sandbox-no-usage",), reports_usage=False)
DROP = Model(
    name="accuracy-drop",
    served_as=("sandbox-drop",),
    reports_usage=False,
    failure=502,
    breaks_streams=True,
)
BROKEN = Model(name="accuracy-error", served_as=("sandbox-server-error",), failure=502)
THROTTLED = Model(name="accuracy-throttled", served_as=("sandbox-rate-limit",), failure=429)
BROKE = Model(name="accuracy-broke", served_as=("sandbox-insufficient-quota",), failure=503)
NO_JSON = Model(name="accuracy-no-json", served_as=(), reports_usage=False, failure=502)
CUT = Model(name="accuracy-cut", served_as=(), reports_usage=False, breaks_streams=True)
MODELS = (ECHO, FAILOVER, SILENT, DROP, BROKEN, THROTTLED, BROKE, NO_JSON, CUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of call, and how many of a thousand are of it."""

    model: Model
    share: int
    is_stream: bool = False
    leaves: Leaves = Leaves.NEVER

    @property
    def name(self) -> str:
        form = "stream" if self.is_stream else "JSON"
        behaviour = "" if self.leaves == Leaves.NEVER else f", caller {self.leaves.value}"
        return f"{form}, {self.model.name}{behaviour}"

    @property
    def failure(self) -> int | None:
        """The status that the caller gets instead of an answer."""
        return None if self.is_stream and self.model.breaks_streams else self.model.failure


KINDS = (
    Kind(model=ECHO, share=420),
    Kind(model=ECHO, share=350, is_stream=True),
    Kind(model=ECHO, share=80, is_stream=True, leaves=Leaves.MID_STREAM),
    Kind(model=ECHO, share=20, leaves=Leaves.BEFORE_ANSWER),
    Kind(model=FAILOVER, share=20),
    Kind(model=FAILOVER, share=10, is_stream=True),
    Kind(model=SILENT, share=15),
    Kind(model=SILENT, share=15, is_stream=True),
    Kind(model=DROP, share=15),
    Kind(model=DROP, share=15, is_stream=True),
    Kind(model=BROKEN, share=15),
    Kind(model=THROTTLED, share=8),
    Kind(model=BROKE, share=7, is_stream=True),
    Kind(model=NO_JSON, share=5),
    Kind(model=CUT, share=5, is_stream=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, to be made at ``at`` seconds after the start; ``caller`` is an index."""

    number: int
    at: float
    kind: Kind
    caller: int
    words: int
    answer: int
    """Tokens that the upstream would like to say."""
    limit: int | None
    wants_usage: bool
    delay_ms: int
    """The upstream's, before each part of a stream."""
    leaves_after: int
    """Events of the stream, where the caller leaves in the middle of it."""

    @property
    def prompt_tokens(self) -> int:
        """As the sandbox counts them."""
        return self.words + MESSAGE_TOKENS

    @property
    def full_tokens(self) -> tuple[int, int]:
        """Prompt and answer, should the whole of it be served and paid for."""
        if self.kind.failure is not None:
            return 0, 0
        return self.prompt_tokens, min(self.answer, self.limit or self.answer)

    def body(self) -> bytes:
        """The request; ``user`` is how the sandbox's record knows it."""
        answer: dict[str, int] = {"completion_tokens": self.answer}
        body: dict[str, Any] = {
            "model": self.kind.model.name,
            "messages": [{"role": "user", "content": _TEXT[: self.words * _WORD_SIZE - 1]}],
            "user": str(self.number),
            "sandbox": answer,
        }
        if self.limit is not None:
            body["max_tokens"] = self.limit
        if self.kind.is_stream:
            body["stream"] = True
            answer["chunks"] = min(self.answer, CHUNKS)
            if self.wants_usage:
                body["stream_options"] = {"include_usage": True}
            answer["delay_ms"] = self.delay_ms
        elif self.kind.leaves == Leaves.BEFORE_ANSWER:
            answer["delay_ms"] = _LATE_MS
        return json.dumps(body).encode()


def plan(*, calls: int, callers: int, seconds: float, seed: int) -> list[Call]:
    """Plan calls whose arrivals take ``seconds``; the same seed gives the same calls.

    Some callers ask far more often than others, as people do.
    """
    chance = random.Random(seed)
    kinds = chance.choices(KINDS, [kind.share for kind in KINDS], k=calls)
    asked_by = chance.choices(range(callers), [1 / (1 + index) ** 0.6 for index in range(callers)], k=calls)
    sizes = list(itertools.islice(_endless(list(_trace(chance))), calls))
    stretch = seconds / max(sizes[-1][0], 1e-6) if sizes else 1.0
    return [
        _call(number, at * stretch, kind, caller, size, chance)
        for number, ((at, *size), kind, caller) in enumerate(zip(sizes, kinds, asked_by, strict=True))
    ]


def source() -> str:
    """Where lengths and arrival times come from."""
    return f"real traffic, {TRACE.name}" if TRACE.exists() else f"generated, since there is no {TRACE}"


def _call(
    number: int, at: float, kind: Kind, caller: int, size: Sequence[int], chance: random.Random
) -> Call:
    words = min(max(size[0] - MESSAGE_TOKENS, 1), len(_TEXT) // _WORD_SIZE)
    answer = min(max(size[1], 1), LONGEST_ANSWER)
    delay_ms = chance.choice(_DELAYS_MS)
    if kind.leaves == Leaves.MID_STREAM:
        answer, delay_ms = max(answer, CHUNKS), delay_ms or 3  # so that there is something to leave
    return Call(
        number=number,
        at=at,
        kind=kind,
        caller=caller,
        words=words,
        answer=answer,
        limit=chance.choice((None, answer, answer + 50, max(answer // 2, 1), 1000)),
        wants_usage=chance.random() < 0.5,
        delay_ms=delay_ms,
        leaves_after=chance.randint(1, CHUNKS // 2),
    )


def _trace(chance: random.Random) -> Iterator[tuple[float, int, int]]:
    """Seconds after the first one, prompt tokens and answer tokens."""
    if not TRACE.exists():
        at = 0.0
        for _ in range(20_000):
            at += chance.expovariate(5)
            yield at, int(chance.lognormvariate(6.6, 1)), int(chance.lognormvariate(4.9, 1))
        return
    with TRACE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        first: datetime | None = None
        for row in rows:
            at_time = datetime.fromisoformat(row["TIMESTAMP"][:26])
            first = first or at_time
            seconds = (at_time - first).total_seconds()
            yield seconds, int(row["ContextTokens"]), int(row["GeneratedTokens"])


def _endless(trace: Sequence[tuple[float, int, int]]) -> Iterator[tuple[float, int, int]]:
    """The trace again and again, each time later."""
    length = trace[-1][0]
    for round_number in itertools.count():
        for at, prompt, answer in trace:
            yield round_number * length + at, prompt, answer
