"""Top-ups and adjustments."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from accounts.services.idempotency import forget_idempotency_records
from tests.stateful.model.rows import Item, RefusalError
from tests.stateful.over_http.base import HttpBase, Key, Pick

Leaves = st.none() | st.sampled_from([-1, 0, 1]) | st.integers(0, 60)
"""Quota units beside those that calls hold."""


class MovementRules(HttpBase):
    @rule(user=Pick, quota=st.integers(1, 400), key=Key)
    def top_up(self, user: int, quota: int, key: int | None) -> None:
        pk = self._user(user)

        def in_model() -> int:
            self._check_present(pk)
            return self.ledger.top_up(pk, quota, self._ledger_key(key))

        self._movement(f"/users/{pk}/top-ups", {"quota": quota}, key, in_model)

    @rule(
        items=st.lists(
            st.tuples(Pick | st.sampled_from(["nobody", "an operator"]), st.integers(1, 100)),
            min_size=1,
            max_size=3,
        ),
        key=Key,
        preview=st.booleans(),
    )
    def top_up_many(self, items: list[tuple[int | str, int]], key: int | None, preview: bool) -> None:
        others = {"nobody": 2**40, "an operator": self.site.admin.pk}
        pks = [self._user(user) if isinstance(user, int) else others[user] for user, _quota in items]
        body = {
            "items": [{"user_id": pk, "quota": quota} for pk, (_user, quota) in zip(pks, items, strict=True)]
        }
        name = self._ledger_key(None if preview else key)
        wanted = [
            Item(item["user_id"], item["quota"], name and f"{name}:{number}")
            for number, item in enumerate(body["items"])
        ]
        path = "/bulk/top-ups" + ("?preview=true" if preview else "")

        def step() -> None:
            before = copy.deepcopy(self.ledger)
            answer, expected = self._ask_both(
                "POST", path, body, key, lambda: self.ledger.top_up_many(wanted)
            )
            if answer is not None:
                self._check_items(answer["items"], expected)
            if preview:
                self.ledger = before

        step()
        self.sent.append(step)

    @rule(user=Pick, quota=st.integers(-400, 400), leaves=Leaves, key=Key)
    def adjust(self, user: int, quota: int, leaves: int | None, key: int | None) -> None:
        """
        :param leaves: what no call holds is to be this much afterwards
        """
        pk = self._user(user)
        change = (quota if leaves is None else leaves - self.ledger.accounts[pk].available) or 1

        def in_model() -> int:
            self._check_present(pk)
            return self.ledger.adjust(pk, change, self._ledger_key(key))

        body = {"quota": change, "memo": "a correction"}
        self._movement(f"/users/{pk}/adjustments", body, key, in_model)

    @rule()
    @precondition(lambda self: self.answers)
    def forget_answers(self) -> None:
        """As a day later; what moved quota is remembered by the ledger."""
        forget_idempotency_records(before=datetime.now(UTC) + timedelta(hours=1))
        self.answers.clear()

    def _check_items(self, items: list[dict[str, Any]], expected: list[int | RefusalError]) -> None:
        for item, place in zip(items, expected, strict=True):
            if isinstance(place, RefusalError):
                assert (item["code"], item["balance_after"]) == (place.code, None)
            else:
                assert item["balance_after"] == self.ledger.entries[place].balance_after
