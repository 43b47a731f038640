"""The books themselves, and the one way to write a movement."""

import copy
from dataclasses import dataclass, field

from tests.stateful.model.rows import (
    MAX_QUOTA,
    Account,
    Batch,
    Code,
    Entry,
    Hold,
    Redemption,
    RefusalError,
    Token,
    Usage,
)


@dataclass
class Books:
    accounts: dict[int, Account] = field(default_factory=dict)
    operators: set[int] = field(default_factory=set)
    """Who may not be topped up by the administrator that does everything here."""
    tokens: dict[int, Token] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    usage: dict[str, Usage] = field(default_factory=dict)
    batches: dict[int, Batch] = field(default_factory=dict)
    codes: dict[int, Code] = field(default_factory=dict)
    redemptions: list[Redemption] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    """Idempotency keys, and which entry each stands for."""

    def check_may_manage(self, account_id: int) -> None:
        if account_id in self.operators or self.accounts[account_id].status == "deleted":
            raise RefusalError("permission_denied")

    def post(self, entry: Entry, key: str | None = None) -> int:
        """Write a movement; its ``balance_after`` is filled in.

        :returns: which of all entries it is: the first one, where the key stands for the same already
        """
        if key is not None and key in self.keys:
            first = self.entries[self.keys[key]]
            if _what(first) != _what(entry):
                raise RefusalError("idempotency_key_reused")
            return self.keys[key]
        account = self.accounts[entry.account_id]
        balance = account.balance + entry.amount
        if abs(entry.amount) > MAX_QUOTA or abs(balance) > MAX_QUOTA:
            raise RefusalError("quota_too_large")
        account.balance = balance
        self.entries.append(
            Entry(entry.account_id, entry.kind, entry.amount, balance, entry.reference, entry.reverses)
        )
        if key is not None:
            self.keys[key] = len(self.entries) - 1
        return len(self.entries) - 1


def _what(entry: Entry) -> tuple[object, ...]:
    return entry.account_id, entry.kind, entry.amount, entry.reverses


def movement(
    account_id: int, kind: str, amount: int, reference: str = "", reverses: int | None = None
) -> Entry:
    """An entry that is not written yet."""
    return Entry(account_id, kind, amount, 0, reference, reverses)


class AllOrNothing:
    """Puts the books back as they were when the block ends with an error."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._before = copy.deepcopy(books.__dict__)

    def __enter__(self) -> None:
        pass

    def __exit__(self, error: type[BaseException] | None, *_rest: object) -> None:
        if error is not None:
            self._books.__dict__.update(self._before)
