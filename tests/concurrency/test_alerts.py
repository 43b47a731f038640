"""Alerts are raised once and delivered once, whoever looks and whoever sends; controls show the races."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier, Condition, Event, Lock
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections
from django.db.models import Min

from accounts.models import User
from billing.models import Alert, AlertDelivery, AlertKind, LedgerEntry, QuotaAccount, WebhookDelivery
from billing.services import webhooks
from billing.services.alerts import delivering, destinations, evaluating
from tests.billing.alerts.making import make_rule, snapshot
from tests.factories import NOON, make_admin, make_channel, make_user, make_webhook
from tests.support.chat_services import chat_services
from tests.support.receiver import Received, Receiver, receiving

pytestmark = pytest.mark.django_db(transaction=True)
CROSSINGS = int(os.environ.get("ALERT_CROSSINGS", "300"))
"""``ALERT_CROSSINGS=10000`` for more, in some minutes."""
BEATS, WORKERS = 2, 4
SECOND = timedelta(seconds=1)


def at_once(act: Callable[[int], Any], racers: int) -> list[Any]:
    """Let everybody act at the same moment, each with a connection of their own."""
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


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def ledger_of(users: int, *, quota: int = 1) -> None:
    """Users whose quota just moved, without the time that making each of them takes."""
    first = make_user(balance=quota)
    entry = LedgerEntry.objects.filter(account=first.pk).latest("pk")
    names = [f"crossing{number}" for number in range(users - 1)]
    User.objects.bulk_create(
        [User(username=name, email=f"{name}@example.com", password="!", language="en") for name in names]
    )
    made = list(User.objects.filter(username__startswith="crossing").order_by("pk"))
    QuotaAccount.objects.bulk_create([QuotaAccount(user=user, balance=quota) for user in made])
    LedgerEntry.objects.bulk_create(
        [
            LedgerEntry(
                account_id=user.pk, kind=entry.kind, amount=quota, balance_after=quota, created_at=NOON
            )
            for user in made
        ]
    )


# --- Everything together ----------------------------------------------------------------------


def test_each_of_many_crossings_is_raised_once_and_arrives_although_a_third_is_refused(
    receiver: Receiver,
) -> None:
    """Two beats, four workers, and a receiver that fails three times of ten."""
    hook = make_webhook(receiver.url, events=["alert.raised"])
    make_rule(AlertKind.BALANCE_BELOW, "1", audience="user")
    evaluating.evaluate(at=NOON)
    ledger_of(CROSSINGS)
    receiver.judge = Unreliable(share=0.3)
    mail.outbox.clear()
    clock = Clock()

    def beat() -> None:
        for _turn in range(3):
            evaluating.evaluate(at=clock.now())

    def work() -> None:
        while not is_over():
            if not webhooks.deliver_due(at=clock.now()) + delivering.deliver_due(at=clock.now()):
                clock.rest()
        clock.stop()

    at_once(lambda number: beat() if number < BEATS else work(), BEATS + WORKERS)

    assert Alert.objects.count() == CROSSINGS
    assert (
        Alert.objects.values("rule", "subject_type", "subject_id", "threshold").distinct().count()
        == CROSSINGS
    )

    told = WebhookDelivery.objects.filter(event="alert.raised")
    assert Counter(told.values_list("status", flat=True)) == {"delivered": CROSSINGS}
    assert told.values("payload__data__alert_id").distinct().count() == CROSSINGS
    assert sum(told.values_list("attempts", flat=True)) == len(receiver.received)
    ids = Counter(request.headers["x-oneapi-delivery"] for request in receiver.received)
    assert set(ids) == set(map(str, told.values_list("event_id", flat=True)))
    assert max(ids.values()) > 1, "the control: some were refused"
    bodies = {(one.headers["x-oneapi-delivery"], one.body) for one in receiver.received}
    assert len(bodies) == CROSSINGS, "whatever comes again is the same"
    assert receiver.received[0].verified(
        hook.secret, now=float(receiver.received[0].headers["x-oneapi-timestamp"])
    )

    mailed = AlertDelivery.objects.filter(user__isnull=False)
    assert Counter(mailed.values_list("status", "attempts")) == {("delivered", 1): CROSSINGS}
    assert Counter(Counter(sent.to[0] for sent in mail.outbox).values()) == {1: CROSSINGS}


def is_over() -> bool:
    """Once everything was raised, and has arrived or was given up."""
    if Alert.objects.count() < CROSSINGS:
        return False
    outboxes = WebhookDelivery.objects, AlertDelivery.objects
    return not any(outbox.filter(status="pending").exists() for outbox in outboxes)


class Unreliable:
    """Fails by chance, but not so often for one event that it would be given up."""

    def __init__(self, *, share: float) -> None:
        self._random, self._share, self._lock = random.Random(7), share, Lock()
        self._refused: Counter[str] = Counter()

    def __call__(self, received: Received) -> int:
        event = received.headers["x-oneapi-delivery"]
        with self._lock:
            if self._random.random() >= self._share or self._refused[event] == 7:
                return 204
            self._refused[event] += 1
            return self._random.choice([500, 503, 429])


class Clock:
    """A time that jumps to the next attempt when all workers have nothing to do."""

    def __init__(self) -> None:
        self._now, self._workers, self._resting, self._jumps = NOON, WORKERS, 0, 0
        self._changed = Condition()

    def now(self) -> datetime:
        with self._changed:
            return self._now

    def rest(self) -> None:
        """Wait for the others; the last one sets the clock."""
        with self._changed:
            self._resting += 1
            jumps = self._jumps
            self._jump_if_all_rest()
            self._changed.wait_for(lambda: self._jumps != jumps, timeout=60)

    def stop(self) -> None:
        """Let nobody wait for who has left."""
        with self._changed:
            self._workers -= 1
            self._jump_if_all_rest()

    def _jump_if_all_rest(self) -> None:
        if self._resting == self._workers:
            self._now = max(self._now + SECOND, self._next_attempt())
            self._resting, self._jumps = 0, self._jumps + 1
            self._changed.notify_all()

    def _next_attempt(self) -> datetime:
        tables = WebhookDelivery.objects, AlertDelivery.objects
        waits = [table.aggregate(next=Min("next_attempt_at"))["next"] for table in tables]
        return min((wait for wait in waits if wait is not None), default=NOON)


# --- Raising ----------------------------------------------------------------------------------


def look_before_anybody_writes(monkeypatch: pytest.MonkeyPatch, racers: int) -> None:
    """Everybody knows what to raise before anybody has raised it."""
    everybody_looked, write = Barrier(racers), evaluating.write

    def write_together(changes: Any, *, at: datetime) -> int:
        changes = list(changes)
        everybody_looked.wait()
        return write(changes, at=at)

    monkeypatch.setattr(evaluating, "write", write_together)


def test_whoever_finds_a_crossing_at_the_same_moment_it_is_raised_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_admin()
    make_webhook()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", "5")
    for _channel in range(3):
        snapshot(make_channel(), "1")
    WebhookDelivery.objects.all().delete()
    look_before_anybody_writes(monkeypatch, 8)

    counts = at_once(lambda _number: evaluating.evaluate(at=NOON), 8)

    assert sum(counts) == 6
    assert Alert.objects.count() == 6
    assert AlertDelivery.objects.count() == 6
    assert WebhookDelivery.objects.filter(event="alert.raised").count() == 6


@contextmanager
def without_constraint(name: str) -> Iterator[None]:
    """Take a constraint of alerts out of the database for a while."""
    options = Alert._meta
    every = options.constraints
    [constraint] = [one for one in every if one.name == name]
    options.constraints = [one for one in every if one is not constraint]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Alert, constraint)
    try:
        yield
    finally:
        options.constraints = every
        with connection.schema_editor() as editor:
            editor.add_constraint(Alert, constraint)


def test_control_without_the_constraint_it_is_raised_as_often_as_it_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_admin()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    snapshot(make_channel(), "1")
    look_before_anybody_writes(monkeypatch, 8)
    with without_constraint("alert_raised_once"):
        counts = at_once(lambda _number: evaluating.evaluate(at=NOON), 8)
        found = Alert.objects.count(), AlertDelivery.objects.count()
        AlertDelivery.objects.all().delete()
        Alert.objects.all().delete()

    assert sum(counts) == 8
    assert found == (8, 8)


def test_whoever_finds_a_recovery_at_the_same_moment_it_is_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_webhook()
    channel = make_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    snapshot(channel, "1")
    evaluating.evaluate(at=NOON)
    snapshot(channel, "99")
    look_before_anybody_writes(monkeypatch, 8)

    at_once(lambda _number: evaluating.evaluate(at=NOON + SECOND), 8)

    assert WebhookDelivery.objects.filter(event="alert.resolved").count() == 1


# --- Delivering -------------------------------------------------------------------------------


def fill_outbox(readers: int, channels: int) -> None:
    for _reader in range(readers):
        make_admin()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    for _channel in range(channels):
        snapshot(make_channel(), "1")
    evaluating.evaluate(at=NOON)
    mail.outbox.clear()


def work(_number: int) -> None:
    while delivering.deliver_due(at=NOON):
        pass


def test_many_workers_at_once_send_every_mail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "_IN_A_MESSAGE", 1)
    fill_outbox(readers=5, channels=8)

    at_once(work, 8)
    work(0)  # the last ones, which another worker's claim kept from all others

    assert Counter(sent.to[0] for sent in mail.outbox) == dict.fromkeys(
        User.objects.filter(role="admin").values_list("email", flat=True), 8
    )
    assert set(AlertDelivery.objects.values_list("status", "attempts")) == {("delivered", 1)}


def test_control_workers_that_look_before_anybody_claims_send_more_than_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill_outbox(readers=1, channels=1)
    everybody_looked = Barrier(8)

    def claim_unguarded(at: datetime) -> list[Any]:
        rows = list(
            AlertDelivery.objects.filter(next_attempt_at__lte=at).select_related(
                "alert__rule", "user", "destination"
            )
        )
        everybody_looked.wait()
        key = "00000000-0000-4000-8000-000000000000"
        return [delivering._Claim(rows, key, delivering._written(rows))] if rows else []

    def record_unguarded(claim: Any, *_outcome: Any) -> None:
        keys = [row.pk for row in claim.deliveries]
        AlertDelivery.objects.filter(pk__in=keys).update(status="delivered", next_attempt_at=None)

    monkeypatch.setattr(delivering, "_claim", claim_unguarded)
    monkeypatch.setattr(delivering, "_record", record_unguarded)
    at_once(lambda _number: delivering.deliver_due(at=NOON), 8)

    assert len(mail.outbox) == 8


def test_a_robot_that_hangs_stops_no_other_receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker waits for it; another does everything else meanwhile, and leaves it alone."""
    admin = make_admin()
    with chat_services(tmp_path) as services:
        monkeypatch.setenv("HTTPS_PROXY", services.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(services.certificate))
        robot = destinations.add_destination(
            actor=admin, owner=None, name="robot", address="feishu://0123-secret", at=NOON
        )
        channel = make_channel()
        make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", destinations=[robot], is_mailed=False)
        snapshot(channel, "1")
        evaluating.evaluate(at=NOON)
        services.hold = Event()

        def first_waits_then_second_works(number: int) -> int:
            if number == 0:
                return delivering.deliver_due(at=NOON)
            services.is_asked.wait(10)
            make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "20", channel=channel, destinations=[robot])
            evaluating.evaluate(at=NOON + SECOND)
            sent = delivering.deliver_due(at=NOON + SECOND)
            services.hold.set()
            return sent

        counts = at_once(first_waits_then_second_works, 2)

    assert counts == [1, 1]
    assert len(mail.outbox) == 1
    assert Counter(AlertDelivery.objects.values_list("destination", "status")) == {
        (robot.pk, "delivered"): 1,
        (robot.pk, "pending"): 1,
        (None, "delivered"): 1,
    }
