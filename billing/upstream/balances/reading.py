"""What providers say about money, in one form whatever the provider's own, and what they are asked with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Literal
from urllib.parse import urlsplit

Period = Literal["", "day", "week", "month", "all"]
"""What ``used`` and ``limit`` are counted over; "all" is since the beginning, "" is unknown."""


class ReadingKind(StrEnum):
    """Three different things, which are never added up."""

    BALANCE = "balance"
    """Money left on the provider's account."""
    KEY_BUDGET = "key_budget"
    """What one key may still spend; the account behind it may hold less."""
    SPEND = "spend"
    """What a period cost so far; what is left is known only where a limit is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One statement of a provider. An amount is None when the provider does not say: unknown is never 0."""

    kind: ReadingKind
    currency: str
    """ISO 4217, in capitals."""
    remaining: Decimal | None = None
    """May be negative: postpaid accounts owe."""
    granted: Decimal | None = None
    """The part of what remains that was given for nothing."""
    topped_up: Decimal | None = None
    """The part of what remains that was paid for."""
    limit: Decimal | None = None
    used: Decimal | None = None
    period: Period = ""
    resets_at: datetime | None = None
    """When ``used`` begins again."""
    expires_at: datetime | None = None
    is_unlimited: bool = False
    """The provider says that there is no limit of this kind; an account behind a key may still run dry."""
    is_usable: bool | None = None
    """What the provider says of whether calls are served."""
    is_weak: bool = False
    """Known to differ from the provider's console: no reason to disable a channel."""

    @property
    def amounts(self) -> list[Decimal]:
        """All that is known."""
        said = (self.remaining, self.granted, self.topped_up, self.limit, self.used)
        return [amount for amount in said if amount is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What to ask with."""

    base_url: str
    """The channel's, without a final slash or ``/v1``."""
    key: str = field(repr=False)
    """The channel's, which serves calls."""
    admin: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Credentials of their own, by the names of the adapter's fields; they never serve calls."""

    @property
    def origin(self) -> str:
        """Scheme and host of the base URL: the key is sent nowhere else."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}"
