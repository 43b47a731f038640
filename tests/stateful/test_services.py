"""Whatever happens in whatever order: the services do what the model says, and the audit finds nothing."""

import pytest
from django.db import IntegrityError
from hypothesis.stateful import run_state_machine_as_test

from billing.services import calls, refunds
from redemption.services import redeeming
from redemption.services.locked_codes import LockedCode
from tests.stateful.effort import effort
from tests.stateful.services.base import World
from tests.stateful.services.machine import ServicesMachine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(transactional_db: None) -> World:
    return World()


def test_the_services_do_what_the_model_says(world) -> None:
    run_state_machine_as_test(lambda: ServicesMachine(world), settings=effort(examples=20))

    print(f"{world.examples} examples, {world.steps} steps")


FAULTS = {
    "a call is charged as often as it is handed in": (calls, "find_charged", lambda _batch, _ids: {}),
    "more is refunded than was charged": (refunds, "refunded", lambda _call: 0),
    "a code is redeemed however often it was and whatever became of it": (
        *(LockedCode, "obstacle"),
        lambda *_what: "",
    ),
    "a person uses codes as often as others may": (redeeming, "_personal_obstacle", lambda *_what: ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_control_the_machine_finds_out_when(fault, world, monkeypatch) -> None:
    monkeypatch.setattr(*FAULTS[fault])

    with pytest.raises((AssertionError, IntegrityError)):
        run_state_machine_as_test(lambda: ServicesMachine(world), settings=effort(examples=20))
