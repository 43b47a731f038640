"""What all rules over the services share: the world, who is in it, and asking the model and the product."""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.core.management import call_command
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from accounts.models import Token, User
from billing.models import Channel, LedgerEntry
from billing.services import accounts, holds, refunds, reversals
from billing.services.holds import QuotaExhaustedError
from oneapi_admin.lib.errors import DomainError
from tests.factories import NOON, MadeToken, make_admin, make_channel, make_root
from tests.stateful import comparing
from tests.stateful.effort import STEPS_AN_AUDIT
from tests.stateful.model import Ledger
from tests.stateful.model.rows import Account, RefusalError, outcome_of
from tests.stateful.model.rows import Token as ModelToken

HOLD_MINUTES = 10
_EXAMPLES_A_FLUSH = 100
"""The audit reads everything: it must not become more and more."""
_TELLING = (accounts.QuotaHeldError, reversals.QuotaSpentError, refunds.RefundTooLargeError)
"""Errors whose numbers are all quota units."""
numbers = itertools.count(1)

Pick = st.integers(0, 5)
"""One of what there is; which one, if there is less, comes round."""
Recent = st.integers(0, 9)
"""One of the last ones, from the newest."""
Key = st.none() | st.integers(0, 5)
"""An idempotency key of few, so that each comes again with the same movement and with others."""


class Call(NamedTuple):
    """One that was admitted at some time."""

    request_id: str
    account_id: int
    token_id: int
    estimate: int


class World:
    """What all examples share."""

    def __init__(self) -> None:
        self.examples = 0
        self.steps = 0
        self.admin: User
        self.channel: Channel
        self._furnish()

    def end_example(self, ledger: Ledger) -> None:
        """Empty the database now and then, and when the example broke it; each has people of its own."""
        self.examples += 1
        is_worn = self.examples % _EXAMPLES_A_FLUSH == 0
        try:
            comparing.check(ledger)
            comparing.audit()
            holds.expire(at=datetime.max.replace(tzinfo=UTC))
        except AssertionError:
            is_worn = True
            raise
        finally:
            if is_worn:
                call_command("flush", verbosity=0, interactive=False)
                self._furnish()

    def _furnish(self) -> None:
        make_root()
        self.admin = make_admin()
        self.channel = make_channel()


class ServicesBase(RuleBasedStateMachine):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.now: datetime = NOON
        self.ledger = Ledger(accounts={world.admin.pk: Account()}, operators={world.admin.pk})
        self.users: list[User] = []
        self.made: dict[int, MadeToken] = {}
        self.old_keys: dict[int, str] = {}
        self.calls: list[Call] = []
        self.codes: list[tuple[int, str]] = []
        self.pks: list[int] = []
        """Of all entries, in the model's order."""
        self.told: list[tuple[int, LedgerEntry]] = []
        """Entries that the product returned since the last look, each with its place in the model."""
        self.sent: list[Callable[[], None]] = []
        """What was asked for, to be asked for again with the same words."""

    @rule(pick=Recent)
    @precondition(lambda self: self.sent)
    def send_again(self, pick: int) -> None:
        self.sent[-1 - pick % len(self.sent)]()

    @invariant()
    def model_and_product_agree(self) -> None:
        self.world.steps += 1
        self.pks = comparing.check(self.ledger)
        if self.world.steps % STEPS_AN_AUDIT == 0:
            comparing.audit()
        answers = [(place, {**vars(entry), "user_id": entry.account_id}) for place, entry in self.told]
        comparing.check_told(answers, self.ledger, self.pks)
        self.told.clear()

    def teardown(self) -> None:
        self.world.end_example(self.ledger)

    def _user(self, pick: int) -> User:
        return self.users[pick % len(self.users)]

    def _token(self, pick: int) -> tuple[Token, ModelToken]:
        live = self.ledger.live_tokens()
        pk = live[pick % len(live)]
        return Token.objects.select_related("quota").get(pk=pk), self.ledger.tokens[pk]

    def _key(self, number: int | None) -> str | None:
        """Ledger keys are for ever: each example has its own."""
        return None if number is None else f"{self.users[0].pk}-{number}"

    def _send(self, step: Callable[[], None]) -> None:
        step()
        self.sent.append(step)

    def _movement(self, in_model: Callable[[], int], in_product: Callable[[], LedgerEntry]) -> None:
        self._send(lambda: self._note(*agree(in_model, in_product)))

    def _note(self, place: int | RefusalError, result: LedgerEntry | DomainError) -> None:
        check_same(place, result)
        if isinstance(place, int) and isinstance(result, LedgerEntry):
            self.told.append((place, result))


def agree(in_model: Callable[[], Any], in_product: Callable[[], Any]) -> tuple[Any, Any]:
    """What both return; fails unless both refuse, for the same reason, or none does."""
    expected = outcome_of(in_model)
    try:
        answer = in_product()
    except DomainError as error:
        answer = error
    check_same(expected, answer)
    return expected, answer


def check_same(expected: object, answer: object) -> None:
    wanted = (expected.code, expected.numbers) if isinstance(expected, RefusalError) else "done"
    given = (answer.code, _numbers_in(answer)) if isinstance(answer, DomainError) else "done"
    assert given == wanted


def _numbers_in(error: DomainError) -> dict[str, int]:
    if isinstance(error, QuotaExhaustedError):
        return {"left": error.left, "held": error.held, "needed": error.needed}
    return dict(error.context) if isinstance(error, _TELLING) else {}


def resolve(amount: int | str, name: str, value: int) -> int:
    """An amount that may be given as ``name``, ``name + 1`` or ``name - 1``."""
    if isinstance(amount, int):
        return amount
    return max(0, value + {"": 0, " + 1": 1, " - 1": -1}[amount.removeprefix(name)])
