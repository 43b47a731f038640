"""Calls: admitted, settled, released, swept, and handed in again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import IntegrityError
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from billing.services import calls, holds
from tests.factories import FlatPlan, admit_request, settlement
from tests.stateful.model.rows import Begun, ClashError, Ended
from tests.stateful.services.base import HOLD_MINUTES, Call, Pick, ServicesBase, check_same, numbers, resolve

Estimate = st.integers(0, 40) | st.integers(0, 40) | st.sampled_from(["all", "all + 1", "all - 1"])
Cost = st.integers(0, 60) | st.sampled_from(["estimate", "estimate + 1", "estimate - 1"])


class Begin(NamedTuple):
    """A call that asks to be admitted."""

    token: int
    estimate: int | str
    key: str
    repeats: int | None
    """The call whose request id and token it has; None for an id of its own."""


class End(NamedTuple):
    """A call that is over; the same one can end several times."""

    call: int
    cost: int | str


Keys = st.sampled_from(["current", "current", "current", "before the last rotation", "nobody's"])
Beginning = st.builds(Begin, token=Pick, estimate=Estimate, key=Keys, repeats=st.none())
Repeating = st.builds(Begin, token=Pick, estimate=Estimate, key=st.just("current"), repeats=Pick)
Ending = st.builds(End, call=st.integers(0, 2) | Pick, cost=Cost)
"""Mostly of the newest calls, so that one batch ends one of them twice."""


class CallRules(ServicesBase):
    @rule(
        ends=st.lists(Ending, max_size=4),
        begins=st.lists(Beginning | Beginning | Repeating, max_size=4),
        is_retry=st.booleans(),
    )
    @precondition(lambda self: self.calls)
    def commit(self, ends: list[End], begins: list[Begin], is_retry: bool) -> None:
        self._commit(ends, begins, is_retry=is_retry)

    @rule(begin=Beginning)
    def admit(self, begin: Begin) -> None:
        self._commit([], [begin])

    @rule(end=Ending)
    @precondition(lambda self: self.calls)
    def settle(self, end: End) -> None:
        self._commit([end], [])

    @rule(picks=st.lists(Pick, min_size=1, max_size=3))
    @precondition(lambda self: self.calls)
    def release(self, picks: list[int]) -> None:
        request_ids = [self._call(pick).request_id for pick in picks]
        assert holds.release(request_ids=request_ids) == self.ledger.release(request_ids)

    @rule(hold=Pick, beyond=st.sampled_from([-1, 0, 1]))
    @precondition(lambda self: self.ledger.holds)
    def sweep(self, hold: int, beyond: int) -> None:
        """About when a hold ends, in seconds, or later."""
        ends = [known.expires_at for known in self.ledger.holds.values()]
        self.now = max(self.now, ends[hold % len(ends)] + timedelta(seconds=beyond))
        assert holds.expire(at=self.now) == self.ledger.expire(self.now)

    def _call(self, pick: int) -> Call:
        return self.calls[-1 - pick % len(self.calls)]

    def _commit(self, ends: Sequence[End], begins: Sequence[Begin], *, is_retry: bool = False) -> None:
        over = [self._over(end) for end in ends]
        asking = [self._asking(begin) for begin in begins]
        self._settle_and_admit(over, asking, is_retry=is_retry)
        if over:
            self.sent.append(lambda: self._settle_and_admit(over, []))

    def _settle_and_admit(
        self, over: Sequence[Ended], asking: Sequence[Begun], *, is_retry: bool = False
    ) -> None:
        try:
            figures, decided = self.ledger.commit(over, asking, self.now, is_retry=is_retry)
        except ClashError:
            figures, decided = None, []
        settlements, requests = [*map(self._settlement, over)], [*map(self._request, asking)]
        try:
            settled, answers = calls.commit(
                settlements=settlements, requests=requests, at=self.now, is_retry=is_retry
            )
        except IntegrityError:
            assert figures is None, "the database refused what the model took"
            return
        assert figures is not None, "the database took what the model refused"
        assert [(one.quota, one.available) for one in settled] == figures
        for request, expected, answer in zip(asking, decided, answers, strict=True):
            check_same(expected, answer)
            if expected is None:
                hold = self.ledger.holds[request.request_id]
                self.calls.append(Call(request.request_id, hold.account_id, hold.token_id, hold.amount))

    def _asking(self, begin: Begin) -> Begun:
        first = None if begin.repeats is None else self._call(begin.repeats)
        pk = first.token_id if first else [*self.made][begin.token % len(self.made)]
        current = self.ledger.tokens[pk].key
        keys = {"current": current, "before the last rotation": self.old_keys.get(pk, current)}
        return Begun(
            request_id=first.request_id if first else f"call-{next(numbers)}",
            key=keys.get(begin.key, "0" * 64),
            estimate=lambda affordable: resolve(begin.estimate, "all", affordable),
            expires_at=self.now + timedelta(minutes=HOLD_MINUTES),
        )

    def _over(self, end: End) -> Ended:
        call = self._call(end.call)
        cost = resolve(end.cost, "estimate", call.estimate)
        return Ended(call.request_id, call.account_id, call.token_id, cost)

    def _request(self, begun: Begun) -> holds.AdmitRequest:
        return admit_request(
            next(iter(self.made.values())),
            request_id=begun.request_id,
            key_hash=begun.key,
            expires_at=begun.expires_at,
            plan=lambda _caller, affordable, _version: FlatPlan(begun.estimate(affordable)),
        )

    def _settlement(self, ended: Ended) -> Any:
        return settlement(
            self.made[ended.token_id],
            self.world.channel,
            quota=ended.quota,
            request_id=ended.request_id,
            created_at=self.now,
        )
