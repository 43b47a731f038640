"""What all rules over HTTP share: the installation, who is in it, and asking the product and the model."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from accounts.models import User
from accounts.services.access_tokens import create_access_token
from docs.examples.oneapi_admin_client import Client, ProblemError
from tests.factories import make_admin, make_channel, make_root, make_token_price
from tests.sandbox.server import SandboxServer
from tests.stateful import comparing
from tests.stateful.callers import OpenCall
from tests.stateful.effort import STEPS_AN_AUDIT
from tests.stateful.gated_upstream import MODEL as GATED
from tests.stateful.gated_upstream import GatedUpstream
from tests.stateful.model import Ledger
from tests.stateful.model.rows import Account, RefusalError, Token, outcome_of
from tests.support.processes import WebProcess

SANDBOX_MODELS = ("sandbox-echo", "sandbox-server-error", "sandbox-drop")
USD_IN, USD_OUT = "2", "4"
"""For a million tokens: one quota unit for each of the prompt, two for each of the answer."""
_TELLING = {
    "quota_held": ("balance", "held"),
    "quota_spent": ("amount", "available", "balance", "held"),
    "refund_too_large": ("left", "charged", "refunded"),
}
"""The quota units in what problems say, in their order."""
numbers = itertools.count(1)

Pick = st.integers(0, 5)
"""One of what there is; which one, if there is less, comes round."""
Recent = st.integers(0, 9)
"""One of the last ones, from the newest."""
Key = st.none() | st.integers(0, 5)
"""An idempotency key of few, so that each comes again with the same request and with others."""


class Made(NamedTuple):
    """A code in clear."""

    pk: int
    text: str


class Flight(NamedTuple):
    """A call whose stream waits for the provider."""

    call: OpenCall
    gate: str
    account_id: int
    token_id: int


@dataclass
class Site:
    """What all examples share: an installation and its administrator."""

    web: WebProcess
    sandbox: SandboxServer
    upstream: GatedUpstream
    admin: User = field(init=False)
    client: Client = field(init=False)
    steps: int = 0

    def __post_init__(self) -> None:
        make_root()
        self.admin = make_admin()
        _token, key = create_access_token(actor=None, user=self.admin, name="shop", scopes=["admin"])
        self.client = Client(self.web.origin, key)
        for model in (*SANDBOX_MODELS, GATED):
            make_token_price(model, input=USD_IN, output=USD_OUT)
        make_channel(base_url=self.sandbox.origin, key=self.sandbox.api_key, models=[*SANDBOX_MODELS])
        make_channel(base_url=self.upstream.origin, models=[GATED])


class HttpBase(RuleBasedStateMachine):
    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self.example = next(numbers)
        admin = site.admin.pk
        self.ledger = Ledger(accounts={admin: Account()}, operators={admin})
        self.users: list[int] = []
        self.clients: dict[int, Client] = {}
        self.old_keys: dict[int, str] = {}
        self.codes: list[Made] = []
        self.flights: list[Flight] = []
        self.answers: dict[tuple[int, str], tuple[str, Any]] = {}
        """The first answer to each person's idempotency key, and to which request it was."""
        self.told: list[tuple[int, dict[str, Any]]] = []
        """Movements that the product answered with since the last look, each with its place in the model."""
        self.pks: list[int] = []
        """Of all entries, in the model's order."""
        self.sent: list[Callable[[], None]] = []
        """Requests, to be sent again as they were."""

    @rule(pick=Recent)
    @precondition(lambda self: self.sent)
    def send_again(self, pick: int) -> None:
        self.sent[-1 - pick % len(self.sent)]()

    @invariant()
    def model_and_product_agree(self) -> None:
        self.site.steps += 1
        self.pks = comparing.check(self.ledger)
        if self.site.steps % STEPS_AN_AUDIT == 0:
            comparing.audit()
        comparing.check_told(self.told, self.ledger, self.pks)
        self.told.clear()

    def _user(self, pick: int) -> int:
        return self.users[pick % len(self.users)]

    def _token(self, pick: int) -> tuple[int, Token]:
        live = self.ledger.live_tokens()
        pk = live[pick % len(live)]
        return pk, self.ledger.tokens[pk]

    def _any_token(self, pick: int) -> tuple[int, Token]:
        """Deleted ones, too."""
        pk = [*self.ledger.tokens][pick % len(self.ledger.tokens)]
        return pk, self.ledger.tokens[pk]

    def _ledger_key(self, key: int | None) -> str | None:
        return None if key is None else self._key(key)

    def _key(self, key: int | None) -> str:
        return "" if key is None else f"{self.example}-{key}"

    def _check_present(self, account_id: int) -> None:
        if self.ledger.accounts[account_id].status == "deleted":
            not_found()

    def _set_status(self, account_id: int, status: str) -> None:
        self._check_present(account_id)
        self.ledger.set_user_status(account_id, status)

    def _movement(
        self,
        path: str,
        body: dict[str, Any],
        key: int | None,
        in_model: Callable[[], int],
        asker: int | None = None,
    ) -> None:
        """Ask for a movement; it can be sent again."""

        def step() -> None:
            answer, place = self._ask_both("POST", path, body, key, in_model, asker)
            if answer is not None:
                self.told.append((place, answer))

        step()
        self.sent.append(step)

    def _ask(self, *args: Any) -> Any:
        answer, _expected = self._ask_both(*args)
        return answer

    def _ask_both(
        self,
        method: str,
        path: str,
        body: Any,
        key: int | None,
        in_model: Callable[[], Any],
        asker: int | None = None,
    ) -> tuple[Any, Any]:
        """What the product answers and the model returns; None when it was refused or answered before."""
        client = self.clients[asker] if asker is not None else self.site.client
        name, request = (asker or 0, self._key(key)), json.dumps([method, path, body])
        first = self.answers.get(name) if key is not None else None
        if asker is not None and self.ledger.accounts[asker].status != "enabled":
            expected = RefusalError("invalid_access_token")
        elif first is None:
            expected = outcome_of(in_model)
        else:
            expected = None if first[0] == request else RefusalError("idempotency_key_reused")
        try:
            answer = client.request(method, path, body, key=self._key(key))
        except ProblemError as problem:
            _check_problem(expected, problem)
            return None, None
        assert not isinstance(expected, RefusalError), f"it should have been refused: {expected}"
        if first is not None:
            assert answer == first[1], "what is sent again gets the first answer"
            return None, None
        if key is not None and method == "POST":
            self.answers[name] = request, answer
        return answer or {}, expected


def not_found() -> NoReturn:
    raise RefusalError("not_found")


def _check_problem(expected: object, problem: ProblemError) -> None:
    assert isinstance(expected, RefusalError), f"the model takes what the product refuses: {problem}"
    assert problem.code == expected.code
    names = _TELLING.get(problem.code)
    if names is not None:
        told = [int(number) for number in re.findall(r"-?\d+", problem.detail)]
        assert told == [expected.numbers[name] for name in names]
