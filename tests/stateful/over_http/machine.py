"""Everything that moves quota, in any order, over HTTP: a real web process, upstreams, many callers at once."""

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.stateful.over_http.calls import CallRules, Tokens
from tests.stateful.over_http.codes import CodeRules
from tests.stateful.over_http.corrections import CorrectionRules
from tests.stateful.over_http.movements import MovementRules
from tests.stateful.over_http.people import PeopleRules, Quota


class HttpMachine(PeopleRules, MovementRules, CorrectionRules, CodeRules, CallRules):
    """See the rules: each asks the product, and the model what it should have said."""

    @initialize(quotas=st.tuples(Quota, Quota), limit=st.integers(100, 400), length=Tokens)
    def begin_in_the_middle(self, quotas: tuple[int, int], limit: int, length: int) -> None:
        """Whichever rules an example does without, there is something of everything."""
        for quota in quotas:
            self.create_user(quota, None)
        for user, allowed in ((0, None), (0, limit), (1, None)):
            self.create_token(user, allowed, None)
        self.make_codes(50, 2, (1, 1), False, None)
        self.make_codes(20, 2, (3, 2), False, None)
        for _ in range(3):  # the third is refused
            self.redeem(1, 2, None)
        self.top_up_many([(0, 90), (1, 80), (0, 70)], 0, False)
        for token in range(2):
            self.call(token, length, length, False)
            self.open_a_stream(token, length)
        for beyond in (1, 0):
            self.call_for_about_all_there_is(2, beyond)
