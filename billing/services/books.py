"""The accounts and tokens that a batch of calls is about: locked, changed in memory, written once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from billing.models import ConfigVersion, QuotaAccount, TokenQuota
from billing.services import callers
from billing.services.callers import Caller, caller_of
from oneapi_admin.lib.sql import Batch, any_of, each, for_no_key_update, is_any, table, update_rows


@dataclass(slots=True)
class AccountFunds:
    """An account as the batch leaves it, and what the batch adds to its counters; in quota units."""

    balance: int
    held: int
    charged: int = 0
    calls: int = 0
    is_changed: bool = False

    @property
    def available(self) -> int:
        return self.balance - self.held

    def hold(self, quota: int) -> None:
        """Reserve quota, or give it back when it is negative."""
        self.held += quota
        self.is_changed = True

    def charge(self, quota: int) -> None:
        self.balance -= quota
        self.charged += quota
        self.calls += 1
        self.is_changed = True


@dataclass(slots=True)
class TokenFunds:
    """A token's own limit, and what the batch adds to its counters; in quota units."""

    limit: int | None = None
    used: int = 0
    held: int = 0
    """These three as they were before the batch; of use only where a call is to be admitted."""
    newly_held: int = 0
    charged: int = 0
    calls: int = 0
    last_used_at: datetime | None = None
    is_changed: bool = False

    @property
    def left(self) -> int | None:
        """What the token may still spend; None when it has no limit."""
        if self.limit is None:
            return None
        return self.limit - self.used - self.held - self.newly_held - self.charged

    def hold(self, quota: int) -> None:
        """Reserve quota, or give it back when it is negative."""
        self.newly_held += quota
        self.is_changed = True

    def charge(self, quota: int, at: datetime) -> None:
        self.charged += quota
        self.calls += 1
        self.last_used_at = at if self.last_used_at is None else max(self.last_used_at, at)
        self.is_changed = True


class Books:
    """The locks that every batch takes first, and the only writer of what they protect.

    Accounts are locked in the order of their ids. Tokens need no lock of their own: calls write
    them only while they have their accounts.
    """

    def __init__(
        self, batch: Batch, *, account_ids: Iterable[int] = (), key_hashes: Iterable[str] = ()
    ) -> None:
        """Lock the accounts with these ids and those of the callers with these keys.

        Nothing is waited for before :meth:`read`.
        """
        self.accounts: dict[int, AccountFunds] = {}
        self.tokens: dict[int, TokenFunds] = {}
        self.callers: dict[str, Caller] = {}
        """By the hashes of their keys."""
        self.config_version = 0
        """Read with the callers."""
        self._batch = batch
        hashes = any_of(set(key_hashes))
        self._locked = batch.execute(
            f"SELECT user_id, balance, held FROM {table(QuotaAccount)} WHERE user_id IN ("
            f"{each('bigint')} UNION SELECT user_id FROM accounts_token WHERE {is_any('key_hash', 'text')})"
            f" ORDER BY user_id {for_no_key_update()}",
            [any_of(set(account_ids)), hashes],
        )
        self._found = batch.execute(
            f"SELECT {callers.COLUMNS}, q.quota_limit, q.used_quota, q.held,"
            f" (SELECT version FROM {table(ConfigVersion)} WHERE id = 1)"
            f" FROM {callers.TABLES} JOIN {table(TokenQuota)} q ON q.token_id = t.id"
            f" WHERE {is_any('t.key_hash', 'text')}",
            [hashes],
        )

    def read(self) -> None:
        """Wait for the locks and for what the database said."""
        for user_id, balance, held in self._locked.fetchall():
            self.accounts[user_id] = AccountFunds(balance, held)
        for row in self._found.fetchall():
            *_, limit, used, held, self.config_version = row
            caller = caller_of(row)
            if caller.user_id in self.accounts:
                self.callers[row[0]] = caller
                self.tokens[caller.token_id] = TokenFunds(limit, used, held)

    def token(self, token_id: int) -> TokenFunds:
        """The funds of a token, which may have been deleted meanwhile."""
        return self.tokens.setdefault(token_id, TokenFunds())

    def write(self) -> None:
        """Write what changed."""
        accounts = [
            (pk, funds.balance, funds.held, funds.charged, funds.calls)
            for pk, funds in self.accounts.items()
            if funds.is_changed
        ]
        update_rows(
            self._batch,
            QuotaAccount,
            ("user_id", "balance", "held", "used_quota", "request_count"),
            "balance = v.v1, held = v.v2,"
            " used_quota = t.used_quota + v.v3, request_count = t.request_count + v.v4",
            accounts,
        )
        tokens = [
            (pk, funds.newly_held, funds.charged, funds.calls, funds.last_used_at)
            for pk, funds in self.tokens.items()
            if funds.is_changed
        ]
        update_rows(
            self._batch,
            TokenQuota,
            ("token_id", "held", "used_quota", "request_count", "last_used_at"),
            "held = t.held + v.v1, used_quota = t.used_quota + v.v2,"
            " request_count = t.request_count + v.v3, last_used_at = COALESCE(v.v4, t.last_used_at)",
            tokens,
        )
