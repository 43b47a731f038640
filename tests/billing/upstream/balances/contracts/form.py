"""How a contract is written down: who asks, how it is asked, what is answered, and what that means."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from billing.upstream.balances.reading import Account, Reading, ReadingKind
from tests.billing.upstream.balances.provider import Asked

KEY = "sk-channel-0123456789abcdef"
ADMIN_KEY = "sk-admin-/fedcba+9876543210="
NEXT_MONTH = datetime(2026, 12, 1, tzinfo=UTC)
BALANCE, KEY_BUDGET, SPEND = ReadingKind.BALANCE, ReadingKind.KEY_BUDGET, ReadingKind.SPEND

Headers = dict[str, str]


def bearer(key: str) -> Headers:
    return {"authorization": f"Bearer {key}"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One request and its documented answer."""

    url: str
    answer: str
    headers: Headers | Callable[[Asked], Headers]
    """All that are not ordinary; what a signed request must have is worked out again from what came."""
    method: str = "GET"
    body: bytes = b""
    is_optional: bool = False
    """Whether the adapter reads on when this is refused."""


@dataclass(frozen=True, kw_only=True)
class Contract:
    code: str
    base_url: str
    steps: list[Step]
    readings: list[Reading]
    admin: dict[str, str] | None = None
    case: str = ""

    @property
    def account(self) -> Account:
        return Account(base_url=self.base_url, key=KEY, admin=self.admin or {})

    @property
    def name(self) -> str:
        return f"{self.code}-{self.case}" if self.case else self.code
