"""Everything that moves quota, in any order, through the services; the model says what has to come of it."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.stateful.services.calls import Begin, CallRules, End
from tests.stateful.services.codes import CodeRules
from tests.stateful.services.corrections import CorrectionRules
from tests.stateful.services.movements import MovementRules
from tests.stateful.services.people import PeopleRules, Quota

Costs = st.lists(st.integers(1, 40), min_size=2, max_size=3)


class ServicesMachine(PeopleRules, MovementRules, CorrectionRules, CodeRules, CallRules):
    """See the rules: each asks the model first and then the product."""

    @initialize(quotas=st.tuples(Quota, Quota), limit=st.integers(20, 60), costs=Costs)
    def begin_in_the_middle(self, quotas: tuple[int, int], limit: int, costs: list[int]) -> None:
        """Whichever rules an example does without, there is something of everything."""
        for quota in quotas:
            self.create_user(quota)
        for user, allowed in ((0, None), (0, limit), (1, None)):
            self.create_token(user, allowed)
        self.make_codes(20, 2, (1, 1), False, None, None)
        self.make_codes(10, 2, (3, 2), False, None, 60)
        for _ in range(3):  # the third is refused
            self.redeem(1, 2, str, None)
        self.top_up_many([(0, 40, 0), (1, 30, 1), (0, 20, None)])
        self.commit([], [Begin(token, cost, "current", None) for token, cost in enumerate(costs)], False)
        self.commit([], [Begin(token, cost, "current", None) for token, cost in enumerate(costs)], False)
        ends = [End(call, cost) for call, cost in enumerate(costs)]
        self.commit([*ends, End(0, "estimate - 1")], [], False)  # one is handed in twice, with another cost
        self.refund(0, [1, 2], 5, False)
