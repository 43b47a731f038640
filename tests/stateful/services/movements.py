"""Top-ups and adjustments."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing.services import accounts, bulk
from oneapi_admin.lib.errors import DomainError
from tests.stateful.model.rows import MAX_QUOTA, Item
from tests.stateful.services.base import Key, Pick, ServicesBase, agree

Given = st.integers(-1, 60) | st.integers(1, 60) | st.sampled_from([MAX_QUOTA - 20, MAX_QUOTA + 1])
Leaves = st.none() | st.sampled_from([-1, 0, 1]) | st.integers(0, 60)
"""Quota units beside those that calls hold."""
TopUps = st.lists(
    st.tuples(Pick | st.sampled_from(["nobody", "an operator"]), Given, Key), min_size=1, max_size=4
)


class MovementRules(ServicesBase):
    @rule(user=Pick, quota=Given, key=Key)
    def top_up(self, user: int, quota: int, key: int | None) -> None:
        person = self._user(user)
        self._movement(
            lambda: self.ledger.top_up(person.pk, quota, self._key(key)),
            lambda: accounts.top_up(
                actor=self.world.admin, user=person, quota=quota, idempotency_key=self._key(key), at=self.now
            ),
        )

    @rule(items=TopUps)
    def top_up_many(self, items: list[tuple[int | str, int, int | None]]) -> None:
        others = {"nobody": 2**40, "an operator": self.world.admin.pk}
        wanted = [
            Item(self._user(user).pk if isinstance(user, int) else others[user], quota, self._key(key))
            for user, quota, key in items
        ]
        self._send(lambda: self._top_up_many(wanted))

    @rule(user=Pick, quota=st.integers(-60, 60), leaves=Leaves, key=Key)
    def adjust(self, user: int, quota: int, leaves: int | None, key: int | None) -> None:
        """
        :param leaves: what no call holds is to be this much afterwards
        """
        person = self._user(user)
        change = quota if leaves is None else leaves - self.ledger.accounts[person.pk].available
        self._movement(
            lambda: self.ledger.adjust(person.pk, change, self._key(key)),
            lambda: accounts.adjust(
                actor=self.world.admin,
                user=person,
                quota=change,
                memo="a correction",
                idempotency_key=self._key(key),
                at=self.now,
            ),
        )

    def _top_up_many(self, wanted: list[Item]) -> None:
        expected, results = agree(
            lambda: self.ledger.top_up_many(wanted),
            lambda: bulk.top_up_many(
                actor=self.world.admin,
                items=[
                    bulk.TopUp(user_id=item.account_id, quota=item.quota, idempotency_key=item.key)
                    for item in wanted
                ],
                at=self.now,
            ),
        )
        if not isinstance(results, DomainError):
            for place, result in zip(expected, results, strict=True):
                self._note(place, result)
