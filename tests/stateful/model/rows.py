"""What there is: people's accounts, tokens, codes, and what happened. Everything is in quota units."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MAX_QUOTA = 2**53 - 1


class RefusalError(Exception):
    """What the product has to refuse, with the code that it has to say and the numbers in it."""

    def __init__(self, code: str, **numbers: int) -> None:
        self.code, self.numbers = code, numbers
        super().__init__(f"{code} {numbers}")


class ClashError(Exception):
    """A request id for two calls, which the product never makes: everything of the batch has to be undone."""


@dataclass
class Account:
    balance: int = 0
    held: int = 0
    used: int = 0
    calls: int = 0
    status: str = "enabled"

    @property
    def available(self) -> int:
        return self.balance - self.held


@dataclass
class Token:
    account_id: int
    key: str
    limit: int | None = None
    used: int = 0
    held: int = 0
    calls: int = 0
    is_enabled: bool = True
    expires_at: datetime | None = None
    is_deleted: bool = False

    @property
    def left(self) -> int | None:
        return None if self.limit is None else self.limit - self.used - self.held


@dataclass(frozen=True)
class Hold:
    account_id: int
    token_id: int
    amount: int
    expires_at: datetime


@dataclass(frozen=True)
class Entry:
    account_id: int
    kind: str
    amount: int
    balance_after: int
    reference: str = ""
    """The call that is refunded, the code, or the run of top-ups; a reversal has that of what it reverses."""
    reverses: int | None = None
    """Which of all entries it takes back."""


@dataclass(frozen=True)
class Usage:
    account_id: int
    token_id: int
    quota: int
    entry: int | None
    """Which of all entries charged it."""


@dataclass
class Batch:
    """What codes have in common that were made together."""

    quota: int
    uses_per_code: int = 1
    uses_per_user: int = 1
    is_once_per_user: bool = False
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    status: str = "ready"


@dataclass
class Code:
    batch_id: int
    status: str = "enabled"
    users: list[int] = field(default_factory=list)
    """Who has redeemed it, in their order."""


@dataclass(frozen=True)
class Redemption:
    code_id: int
    number: int
    """Which use of the code."""
    account_id: int
    entry: int
    """Which of all entries it made."""


@dataclass(frozen=True)
class Begun:
    """A call that asks to be admitted."""

    request_id: str
    key: str
    estimate: Callable[[int], int]
    """The most it can cost, for whoever can afford so much."""
    expires_at: datetime


@dataclass(frozen=True)
class Ended:
    """A call that is over."""

    request_id: str
    account_id: int
    token_id: int
    quota: int


@dataclass(frozen=True)
class Item:
    """One of many top-ups that are given together."""

    account_id: int
    quota: int
    key: str | None


@dataclass(frozen=True)
class Undone:
    """What becomes of one entry when its run is undone."""

    entry: int
    amount: int
    shortfall: int
    code: str | None
    """Why it is refused, if it is."""


def outcome_of(act: Callable[[], Any]) -> Any:
    """What it returns, or its refusal."""
    try:
        return act()
    except RefusalError as refusal:
        return refusal
