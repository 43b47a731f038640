"""What a report is: the knowledge of how one provider tells how many tokens it counted, model by model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from billing.upstream.balances.ask import Ask
from billing.upstream.balances.parsing import amount, mappings, odd, text
from billing.upstream.balances.reading import Account

Width = Literal["1m", "1h"]
_STEPS: Mapping[Width, timedelta] = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1)}
_ON_A_PAGE: Mapping[Width, int] = {"1m": 120, "1h": 168}
"""So many buckets of many models are less than the largest answer that is read."""
LONGEST_IN_MINUTES = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time of whole minutes or whole hours: providers tell nothing between."""

    since: datetime
    until: datetime
    """The first moment that does not belong to it."""
    width: Width
    """As providers write it."""

    @classmethod
    def around(cls, began_at: datetime, ended_at: datetime) -> "Span":
        """The shortest one that has all of a time; in hours where that would be too many minutes."""
        width: Width = "1m" if ended_at - began_at <= LONGEST_IN_MINUTES else "1h"
        since, until = _floor(began_at, width), _floor(ended_at, width)
        if until < ended_at or until == since:
            until += _STEPS[width]
        return cls(since=since, until=until, width=width)

    @property
    def step(self) -> timedelta:
        return _STEPS[self.width]

    @property
    def on_a_page(self) -> int:
        """How many buckets to ask for at once."""
        return _ON_A_PAGE[self.width]

    def has(self, moment: datetime) -> bool:
        return self.since <= moment < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What calls used. A count is None where it is not told: unknown is never 0."""

    requests: int | None = 0
    prompt_tokens: int = 0
    """All of the input, what came from a cache or went into one as well."""
    cached_tokens: int | None = 0
    """The part of the input that was read from a cache."""
    completion_tokens: int = 0

    @property
    def total(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            requests=_sum(self.requests, other.requests),
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=_sum(self.cached_tokens, other.cached_tokens),
            completion_tokens=self.completion_tokens + other.completion_tokens,
        )


class Report(ABC):
    """One way of asking, with the credentials that read the balance."""

    code: str
    """Of the adapter whose credentials it needs."""
    source: str
    """The page that documents the format."""

    @abstractmethod
    def read(self, account: Account, span: Span, ask: Ask) -> dict[str, Tokens]:
        """What each model used, by the names that the provider has for them.

        :raises BalanceUnavailableError: if it could not be asked now
        :raises BalanceRefusedError: if it refuses or is not understood
        """


def by_model(parts: Iterable[tuple[str, Tokens]]) -> dict[str, Tokens]:
    """Add up what buckets say of each model."""
    sums: dict[str, Tokens] = {}
    for model, tokens in parts:
        sums[model] = sums.get(model, Tokens()) + tokens
    return sums


def results_within(
    span: Span,
    page: Mapping[str, Any],
    *,
    begins: str,
    read: Callable[[Mapping[str, Any], str], datetime | None],
) -> Iterator[dict[str, Any]]:
    """What a page has of the buckets of a time.

    :param begins: the field that has a bucket's first moment
    :param read: how that is read
    """
    for bucket in mappings(page, "data"):
        moment = read(bucket, begins)
        if moment is None:
            raise odd(begins)
        if span.has(moment):
            yield from mappings(bucket, "results")


def model_of(data: Mapping[str, Any]) -> str:
    """The name of a model, which is always told where it was asked for."""
    name = text(data, "model")
    if not name:
        raise odd("model")
    return name


def count(data: Mapping[str, Any], name: str) -> int | None:
    """How many; None where it is left out."""
    value = amount(data, name)
    if value is None:
        return None
    if value < 0 or value != int(value):
        raise odd(name)
    return int(value)


def certain_count(data: Mapping[str, Any], name: str) -> int:
    """How many, where the others mean nothing without it."""
    value = count(data, name)
    if value is None:
        raise odd(name)
    return value


def _floor(moment: datetime, width: Width) -> datetime:
    minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return minute if width == "1m" else minute.replace(minute=0)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
