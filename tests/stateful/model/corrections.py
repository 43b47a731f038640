"""Movements that name what they correct."""

import copy

from tests.stateful.model.books import Books, movement
from tests.stateful.model.rows import RefusalError, Undone

_REVERSIBLE = {"top_up", "adjustment", "refund", "redemption"}


class Corrections(Books):
    def reverse(self, place: int, key: str | None, *, allow_partial: bool) -> int:
        """Take back the entry at this place; at most once, and nothing that is spent or held."""
        entry = self.entries[place]
        self._check_may_correct(entry.account_id)
        if key is not None and key in self.keys:
            if self.entries[self.keys[key]].reverses != place:
                raise RefusalError("idempotency_key_reused")
            return self.keys[key]
        if entry.kind not in _REVERSIBLE:
            raise RefusalError("not_reversible")
        if any(other.reverses == place for other in self.entries):
            raise RefusalError("already_reversed")
        account = self.accounts[entry.account_id]
        amount = entry.amount
        left = max(account.available, 0)
        if amount > left and amount > 0:
            if not (allow_partial and left):
                raise RefusalError(
                    "quota_spent", amount=amount, available=left, balance=account.balance, held=account.held
                )
            amount = left
        taken = movement(entry.account_id, "reversal", -amount, entry.reference, reverses=place)
        return self.post(taken, key)

    def refund(self, request_id: str, quota: int | None, key: str | None) -> int:
        """Give back what a call was charged, or a part of it.

        :param quota: None for all that was not given back before
        """
        call = self.usage[request_id]
        self._check_may_correct(call.account_id)
        if key is not None and key in self.keys:
            first = self.entries[self.keys[key]]
            if (first.kind, first.reference) != ("refund", request_id) or quota not in {None, first.amount}:
                raise RefusalError("idempotency_key_reused")
            return self.keys[key]
        if call.quota == 0:
            raise RefusalError("nothing_charged")
        before = sum(entry.amount for entry in self.entries if entry.reference == request_id)
        left = call.quota - before
        amount = left if quota is None else quota
        if not 0 < amount <= left:
            raise RefusalError("refund_too_large", left=left, charged=call.quota, refunded=before)
        return self.post(movement(call.account_id, "refund", amount, request_id), key)

    def undo(self, run: str, *, allow_partial: bool) -> list[Undone]:
        """Reverse what a run gave, person by person; one's refusal does not stop the others."""
        given = [
            (entry.account_id, place)
            for place, entry in enumerate(self.entries)
            if entry.reference == run and entry.kind == "top_up"
        ]
        return [self._undo(place, allow_partial=allow_partial) for _account_id, place in sorted(given)]

    def preview_undo(self, run: str, *, allow_partial: bool) -> list[Undone]:
        return copy.deepcopy(self).undo(run, allow_partial=allow_partial)

    def _undo(self, place: int, *, allow_partial: bool) -> Undone:
        given = self.entries[place].amount
        try:
            taken = -self.entries[self.reverse(place, None, allow_partial=allow_partial)].amount
        except RefusalError as refusal:
            short = given - refusal.numbers["available"] if refusal.code == "quota_spent" else 0
            return Undone(place, 0, short, refusal.code)
        return Undone(place, taken, given - taken, None)

    def _check_may_correct(self, account_id: int) -> None:
        if self.accounts[account_id].status == "deleted":
            raise RefusalError("user_deleted")
        self.check_may_manage(account_id)
