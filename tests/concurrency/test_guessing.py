"""Ten wrong codes are looked at, however many come at once; and a control shows that it is not by chance."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections
from pytest_django.fixtures import Settings

from accounts.models import User
from billing.models import WebhookDelivery
from redemption.models import CodeAttack, RefusedAttempts
from redemption.services import attack_mails, attacks, attempts
from redemption.services.windows import OWN, Places, SharedWindows
from tests.factories import NOON, balance_of, make_admin, make_user, make_webhook
from tests.redemption.guessing import attempt, guess, make_codes, unknown_code

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 64


def race(act: Callable[[int], Any], racers: int = RACERS) -> list[Any]:
    """Let everybody act at the same moment."""
    start = Barrier(racers)

    def one(number: int) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(racers) as pool:
        return list(pool.map(one, range(racers)))


@pytest.fixture(autouse=True)
def _forget_own_windows() -> Iterator[None]:
    OWN.clear()
    yield
    OWN.clear()


@pytest.mark.parametrize("where", ["with Redis", "without Redis"])
def test_of_64_simultaneous_wrong_codes_of_a_person_ten_are_looked_at(settings: Settings, where: str) -> None:
    if where == "without Redis":
        settings.REDIS_URL = ""
    user, codes = make_user(), [unknown_code() for _racer in range(RACERS)]

    outcomes = race(lambda number: attempt(user, codes[number], address=f"192.0.2.{number}"))

    assert Counter(outcomes) == {"refused": 10, "throttled": 54}
    assert RefusedAttempts.objects.filter(user=user).count_attempts()[0] == 10


def test_of_64_simultaneous_people_at_an_address_thirty_are_looked_at() -> None:
    users, codes = [make_user() for _racer in range(RACERS)], [unknown_code() for _racer in range(RACERS)]

    outcomes = race(lambda number: attempt(users[number], codes[number]))

    assert Counter(outcomes) == {"refused": 30, "throttled": 34}


def test_control_where_places_are_not_kept_until_the_end_more_get_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here an attempt counts when it is over; everybody asks before anybody is through."""
    user, racers = make_user(), 20
    codes = [unknown_code() for _racer in range(racers)]
    everybody_asked = Barrier(racers)
    take = SharedWindows.take

    def take_and_leave(self: SharedWindows, limits: Any, *, who: str) -> Places:
        places = take(self, limits, who=who)
        self.settle(places, is_failure=False)
        everybody_asked.wait()
        return places

    monkeypatch.setattr(SharedWindows, "take", take_and_leave)
    outcomes = race(lambda number: attempt(user, codes[number]), racers)

    assert Counter(outcomes) == {"refused": racers}


def test_nobody_is_throttled_for_redeeming_many_good_codes_at_once() -> None:
    user, codes = make_user(), make_codes(RACERS, quota=500)

    outcomes = race(lambda number: attempt(user, codes[number]))

    assert Counter(outcomes) == {"redeemed": RACERS}
    assert balance_of(user) == RACERS * 500


def test_good_codes_among_wrong_ones_are_redeemed_while_there_is_room() -> None:
    user, good = make_user(), make_codes(32)
    codes = [*good, *(unknown_code() for _wrong in range(9))]

    outcomes = race(lambda number: attempt(user, codes[number]), len(codes))

    assert Counter(outcomes) == {"redeemed": 32, "refused": 9}


def test_an_attempt_waits_for_those_that_may_still_fail_and_no_longer_than_it_must(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "_PATIENCE_S", 0.1)
    user = make_user()
    guess(user, 9)

    with (
        attempts.counted(user=user, address=None, at=NOON),
        pytest.raises(attempts.TooManyAttemptsError) as refused,
        attempts.counted(user=user, address=None, at=NOON),
    ):
        pass

    assert refused.value.retry_after_s == 60
    assert RefusedAttempts.objects.filter(user=user).count_attempts() == (9, 0), "it may have been good"
    assert guess(user, 2) == ["refused", "throttled"]


def test_whoever_notices_an_attack_at_the_same_time_it_is_opened_and_told_once(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    make_admin()
    make_admin()
    make_webhook()
    make_webhook()
    guess(make_user(), 10)

    race(lambda _number: attacks.watch(at=NOON), 16)
    race(lambda _number: attack_mails.send_due(at=NOON), 16)

    assert CodeAttack.objects.filter(ended_at__isnull=True).count() == 1
    deliveries = WebhookDelivery.objects.filter(event="code.attack").values_list("webhook", flat=True)
    assert Counter(Counter(deliveries).values()) == {1: 2}
    told = Counter(one.to[0] for one in mail.outbox)
    assert told == dict.fromkeys(User.objects.filter(role="admin").values_list("email", flat=True), 1)


def test_control_without_the_constraint_an_attack_is_opened_several_times(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody looks before anybody writes, and a closed attack stands in the way of none."""
    settings.CODE_ATTACK_REFUSALS = 10
    guess(make_user(), 10)
    everybody_looked = Barrier(8)
    counts = attacks._counts

    def count_together(started_at: Any) -> dict[str, Any]:
        everybody_looked.wait()
        return {**counts(started_at), "ended_at": NOON + timedelta(hours=1)}

    monkeypatch.setattr(attacks, "_counts", count_together)
    race(lambda _number: attacks._open(NOON), 8)

    assert CodeAttack.objects.count() == 8
