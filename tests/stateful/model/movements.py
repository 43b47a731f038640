"""Top-ups and adjustments, one by one and many together."""

from collections.abc import Sequence

from tests.stateful.model.books import AllOrNothing, Books, movement
from tests.stateful.model.rows import MAX_QUOTA, Item, RefusalError

_RUN = "run "
"""And its number, from 0: the reference of the entries of a run."""


class Movements(Books):
    def top_up(self, account_id: int, quota: int, key: str | None, reference: str = "") -> int:
        """Returns which of all entries it is."""
        self.check_may_manage(account_id)
        if not 0 < quota <= MAX_QUOTA:
            raise RefusalError("invalid_amount")
        return self.post(movement(account_id, "top_up", quota, reference), key)

    def top_up_many(self, items: Sequence[Item]) -> list[int | RefusalError]:
        """One's refusal does not stop the others, but a key that stands for something else does.

        So do two movements that are new and share a key. What is given is a run; what is sent again belongs to
        the first run of those that it came with, and new movements beside it, too.
        """
        with AllOrNothing(self):
            known = dict(self.keys)
            run = self._run_of([item.key for item in items if self._is_granted(item)])
            results = [self._top_up_one(item, run) for item in items]
            taken = [item.key for item, result in zip(items, results, strict=True) if isinstance(result, int)]
            if any(key is not None and key not in known and taken.count(key) > 1 for key in taken):
                raise RefusalError("idempotency_key_reused")
            return results

    def adjust(self, account_id: int, quota: int, key: str | None) -> int:
        self.check_may_manage(account_id)
        if quota == 0 or abs(quota) > MAX_QUOTA:
            raise RefusalError("invalid_amount")
        account = self.accounts[account_id]
        if quota < 0 and account.balance + quota < account.held and key not in self.keys:
            raise RefusalError("quota_held", balance=account.balance, held=account.held)
        return self.post(movement(account_id, "adjustment", quota), key)

    def run_names(self) -> list[str]:
        """Of all runs, the oldest first."""
        names = dict.fromkeys(entry.reference for entry in self.entries)
        return [name for name in names if name.startswith(_RUN)]

    def runs(self) -> list[tuple[int, int, int, int]]:
        """Of each run how many entries it has, of how much, and how many and how much was taken back."""
        figures = []
        for name in self.run_names():
            given = [e.amount for e in self.entries if e.reference == name and e.kind == "top_up"]
            taken = [-e.amount for e in self.entries if e.reference == name and e.kind == "reversal"]
            figures.append((len(given), sum(given), len(taken), sum(taken)))
        return figures

    def _run_of(self, keys: Sequence[str | None]) -> str:
        names = self.run_names()
        known = {self.entries[self.keys[key]].reference for key in keys if key in self.keys}
        return next((name for name in names if name in known), f"{_RUN}{len(names)}")

    def _is_granted(self, item: Item) -> bool:
        """As far as it matters for one that was sent before."""
        account = self.accounts.get(item.account_id)
        may = account is not None and account.status != "deleted" and item.account_id not in self.operators
        return may and 0 < item.quota <= MAX_QUOTA

    def _top_up_one(self, item: Item, run: str) -> int | RefusalError:
        if item.account_id not in self.accounts or self.accounts[item.account_id].status == "deleted":
            return RefusalError("user_not_found")
        try:
            return self.top_up(item.account_id, item.quota, item.key, run)
        except RefusalError as refusal:
            if refusal.code == "idempotency_key_reused":
                raise
            return refusal
