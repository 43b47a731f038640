"""Calls: admitted against an estimate, charged for what they came to, or given back."""

from collections.abc import Sequence
from datetime import datetime

from tests.stateful.model.books import AllOrNothing, Books, movement
from tests.stateful.model.rows import Begun, ClashError, Ended, Hold, RefusalError, Token, Usage, outcome_of


class Calls(Books):
    def admit(self, call: Begun, at: datetime) -> None:
        """
        :raises RefusalError: if the token may not call, or may not spend so much
        """
        token_id, token = self._caller(call.key, at)
        account = self.accounts[token.account_id]
        left = account.available if token.left is None else min(token.left, account.available)
        needed = call.estimate(max(left, 0))
        if needed > left or left < 0:
            if token.left is not None and token.left < account.available:
                raise RefusalError(
                    "pre_consume_token_quota_failed", left=token.left, held=token.held, needed=needed
                )
            raise RefusalError(
                "insufficient_user_quota", left=account.available, held=account.held, needed=needed
            )
        if call.request_id in self.holds:
            raise ClashError
        account.held += needed
        token.held += needed
        self.holds[call.request_id] = Hold(token.account_id, token_id, needed, call.expires_at)

    def commit(
        self, ended: Sequence[Ended], begun: Sequence[Begun], at: datetime, *, is_retry: bool = False
    ) -> tuple[list[tuple[int, int]], list[RefusalError | None]]:
        """Charge what ended, then admit what begins.

        :param is_retry: what begins may have got its hold before: it is given back first
        :returns: what each that ended was charged and what its account has left, and for each that begins
            why it was refused, if it was
        :raises ClashError: nothing was done
        """
        with AllOrNothing(self):
            self._charge(ended)
            if is_retry:
                self.release([call.request_id for call in begun])
            decided = [outcome_of(lambda call=call: self.admit(call, at)) for call in begun]
        figures = [
            (self.usage[call.request_id].quota, self.accounts[call.account_id].available) for call in ended
        ]
        return figures, decided

    def release(self, request_ids: Sequence[str]) -> int:
        """Returns how many there still were."""
        return sum(self._drop_hold(request_id) for request_id in dict.fromkeys(request_ids))

    def expire(self, at: datetime) -> int:
        return self.release([request_id for request_id, hold in self.holds.items() if hold.expires_at <= at])

    def _caller(self, key: str, at: datetime) -> tuple[int, Token]:
        found = [
            (pk, token) for pk, token in self.tokens.items() if token.key == key and not token.is_deleted
        ]
        if not found or self.accounts[found[0][1].account_id].status == "deleted":
            raise RefusalError("invalid_api_key")
        token_id, token = found[0]
        if self.accounts[token.account_id].status != "enabled":
            raise RefusalError("user_disabled")
        if not token.is_enabled:
            raise RefusalError("key_disabled")
        if token.expires_at is not None and token.expires_at <= at:
            raise RefusalError("key_expired")
        return token_id, token

    def _charge(self, ended: Sequence[Ended]) -> None:
        """One entry for each account that has to pay, in the order of their ids; each call once.

        What is said of a call first counts, and nothing that is said later.
        """
        fresh: dict[str, Ended] = {}
        for call in ended:
            if self._drop_hold(call.request_id) and call.request_id in self.usage:
                raise ClashError
            if call.request_id not in self.usage:
                fresh.setdefault(call.request_id, call)
        written: dict[int, int] = {}
        for account_id in sorted({call.account_id for call in fresh.values()}):
            total = sum(call.quota for call in fresh.values() if call.account_id == account_id)
            if total:
                written[account_id] = self.post(movement(account_id, "usage", -total))
        for call in fresh.values():
            self._count(call, written.get(call.account_id) if call.quota else None)

    def _count(self, call: Ended, entry: int | None) -> None:
        for counters in (self.accounts[call.account_id], self.tokens[call.token_id]):
            counters.used += call.quota
            counters.calls += 1
        self.usage[call.request_id] = Usage(call.account_id, call.token_id, call.quota, entry)

    def _drop_hold(self, request_id: str) -> bool:
        hold = self.holds.pop(request_id, None)
        if hold is None:
            return False
        self.accounts[hold.account_id].held -= hold.amount
        self.tokens[hold.token_id].held -= hold.amount
        return True
