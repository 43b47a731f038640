"""Reversals, refunds, and undoing what was given to many."""

import copy

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful import comparing
from tests.stateful.over_http.base import HttpBase, Key, Pick, Recent

Keys = st.lists(Key, min_size=1, max_size=2)
Part = st.none() | st.integers(1, 100) | st.sampled_from(["all", "all + 1"])
"""Of what a call was charged; None for what was not given back yet."""


class CorrectionRules(HttpBase):
    @rule(entry=Recent, allow_partial=st.booleans(), keys=Keys)
    @precondition(lambda self: self.ledger.entries)
    def reverse(self, entry: int, allow_partial: bool, keys: list[int | None]) -> None:
        place = len(self.ledger.entries) - 1 - entry % len(self.ledger.entries)
        path, body = f"/ledger-entries/{self.pks[place]}/reverse", {"memo": "a mistake"}
        for key in keys:
            self._movement(
                path,
                {**body, "allow_partial": allow_partial},
                key,
                lambda key=key: self.ledger.reverse(
                    place, self._ledger_key(key), allow_partial=allow_partial
                ),
            )

    @rule(call=Pick, parts=st.lists(st.tuples(Part, Key), min_size=1, max_size=3))
    @precondition(lambda self: self.ledger.usage)
    def refund(self, call: int, parts: list[tuple[int | str | None, int | None]]) -> None:
        request_id = [*self.ledger.usage][-1 - call % len(self.ledger.usage)]
        charged = self.ledger.usage[request_id].quota
        for part, key in parts:
            quota = {"all": charged, "all + 1": charged + 1}[part] if isinstance(part, str) else part
            self._movement(
                f"/usage/{request_id}/refund",
                {"memo": "it hung", "quota": quota or None},
                key,
                lambda quota=quota, key=key: self.ledger.refund(
                    request_id, quota or None, self._ledger_key(key)
                ),
            )

    @rule(run=Pick, allow_partial=st.booleans(), preview=st.booleans(), key=Key)
    @precondition(lambda self: self.ledger.run_names())
    def undo(self, run: int, allow_partial: bool, preview: bool, key: int | None) -> None:
        rows, names = comparing.runs_of(self.ledger.accounts), self.ledger.run_names()
        number = run % len(names)
        path = f"/bulk-top-ups/{rows[number].pk}/undo" + ("?preview=true" if preview else "")
        body = {"memo": "the wrong people", "allow_partial": allow_partial}
        before = copy.deepcopy(self.ledger)
        answer, expected = self._ask_both(
            "POST", path, body, key, lambda: self.ledger.undo(names[number], allow_partial=allow_partial)
        )
        if preview:
            self.ledger = before
        if answer is not None:
            names_told = ("entry_id", "amount", "shortfall", "code")
            told = [tuple(item[name] for name in names_told) for item in answer["items"]]
            assert told == [(self.pks[one.entry], one.amount, one.shortfall, one.code) for one in expected]
