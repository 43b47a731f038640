"""Reversals, refunds, and undoing what was given to many."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from billing.models import LedgerEntry, UsageRecord
from billing.services import bulk_undo, refunds, reversals
from tests.stateful import comparing
from tests.stateful.services.base import Key, Pick, Recent, ServicesBase, resolve

Keys = st.lists(Key, min_size=1, max_size=2)
Part = st.none() | st.integers(-1, 30) | st.sampled_from(["all - 1", "all", "all + 1"])
"""Of what a call was charged; None for what was not given back yet."""


class CorrectionRules(ServicesBase):
    @rule(entry=Recent, allow_partial=st.booleans(), keys=Keys)
    @precondition(lambda self: self.ledger.entries)
    def reverse(self, entry: int, allow_partial: bool, keys: list[int | None]) -> None:
        place = len(self.ledger.entries) - 1 - entry % len(self.ledger.entries)
        pk = self.pks[place]
        for key in keys:
            self._movement(
                lambda key=key: self.ledger.reverse(place, self._key(key), allow_partial=allow_partial),
                lambda key=key: reversals.reverse(
                    actor=self.world.admin,
                    entry=LedgerEntry.objects.select_related("account__user").get(pk=pk),
                    memo="a mistake",
                    allow_partial=allow_partial,
                    idempotency_key=self._key(key),
                    at=self.now,
                ),
            )

    @rule(call=Pick, parts=st.lists(Part, min_size=1, max_size=3), key=Key, is_taken_back=st.booleans())
    @precondition(lambda self: self.ledger.usage)
    def refund(self, call: int, parts: list[int | str | None], key: int | None, is_taken_back: bool) -> None:
        """
        :param key: of all parts, of which it stands for the first
        :param is_taken_back: whether the last part is reversed, and everything refunded that is left then
        """
        request_id = [*self.ledger.usage][-1 - call % len(self.ledger.usage)]
        for part in parts:
            self._refund(request_id, part, key)
        if is_taken_back:
            self.model_and_product_agree()
            self.reverse(0, False, [None])
            self._refund(request_id, None, None)

    @rule(run=Pick, allow_partial=st.booleans(), preview=st.booleans())
    @precondition(lambda self: self.ledger.run_names())
    def undo(self, run: int, allow_partial: bool, preview: bool) -> None:
        rows, names = comparing.runs_of(self.ledger.accounts), self.ledger.run_names()
        number = run % len(names)
        chosen = {"actor": self.world.admin, "run": rows[number], "allow_partial": allow_partial}
        if preview:
            expected = self.ledger.preview_undo(names[number], allow_partial=allow_partial)
            undone = bulk_undo.preview_undo(**chosen)
        else:
            expected = self.ledger.undo(names[number], allow_partial=allow_partial)
            undone = bulk_undo.undo(**chosen, memo="the wrong people", at=self.now)
        told = [
            (self.pks.index(one.entry.pk), one.amount, one.shortfall, one.refusal and one.refusal.code)
            for one in undone
        ]
        assert told == [(one.entry, one.amount, one.shortfall, one.code) for one in expected]

    def _refund(self, request_id: str, part: int | str | None, key: int | None) -> None:
        quota = part and resolve(part, "all", self.ledger.usage[request_id].quota)
        self._movement(
            lambda: self.ledger.refund(request_id, quota, self._key(key)),
            lambda: refunds.refund(
                actor=self.world.admin,
                call=UsageRecord.objects.select_related("account__user").get(request_id=request_id),
                quota=quota,
                memo="it hung",
                idempotency_key=self._key(key),
                at=self.now,
            ),
        )
