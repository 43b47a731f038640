"""What providers say they hold, from a real sandbox and from answers that are no balance."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from billing import tasks
from billing.models import BalanceSnapshot, Channel, Hold
from billing.services import balances, calls, channels
from billing.upstream.client import Answer, _parsed
from tests.factories import NOON, account_of, admit_request, make_channel, make_token, make_user
from tests.sandbox.server import SandboxServer, start_sandbox

pytestmark = pytest.mark.django_db

KEY = "sk-sandbox-0123456789"
SUBSCRIPTION = '{"object": "billing_subscription", "hard_limit_usd": %s}'
USAGE = '{"object": "list", "total_usage": %s}'


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), api_key=KEY) as server:
        yield server


def channel_of(sandbox: SandboxServer, **fields: Any) -> Channel:
    return make_channel(**{"base_url": sandbox.origin, "key": KEY, "models": ["sandbox-echo"], **fields})


def provider_says(
    monkeypatch: pytest.MonkeyPatch, subscription: str, usage: str, *, status: int = 200
) -> None:
    def call(_method: str, _base_url: str, path: str, **_kwargs: Any) -> Answer:
        text = subscription if path.endswith("subscription") else usage
        return Answer(status=status, data=_parsed(text), text=text, elapsed_ms=1)

    monkeypatch.setattr(balances, "call", call)


def test_the_balance_is_read_exactly_and_falls_with_use(sandbox: SandboxServer) -> None:
    sandbox.reset()
    sandbox.set_account(balance_usd="12.340005")
    channel = channel_of(sandbox)

    before = balances.refresh_balance(channel=channel, at=NOON)
    sandbox.chat()
    after = balances.refresh_balance(channel=channel, at=NOON + timedelta(minutes=10))

    assert before is not None
    assert after is not None
    assert (before.remaining, before.currency, before.created_at) == (Decimal("12.340005"), "USD", NOON)
    assert after.remaining == Decimal(sandbox.account()["balance_usd"])
    assert after.remaining < before.remaining
    assert BalanceSnapshot.objects.count() == 2


def test_cents_of_use_are_taken_off_the_limit_in_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    provider_says(monkeypatch, SUBSCRIPTION % "100.1", USAGE % "2500.0001")

    snapshot = balances.refresh_balance(channel=make_channel(), at=NOON)

    assert snapshot is not None
    assert (snapshot.remaining, snapshot.used) == (Decimal("75.099999"), Decimal("25.000001"))


def test_no_limit_is_not_a_hundred_million_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    provider_says(monkeypatch, SUBSCRIPTION % "100000000", USAGE % "5")

    snapshot = balances.refresh_balance(channel=make_channel(), at=NOON)

    assert snapshot is not None
    assert (snapshot.is_unlimited, snapshot.remaining) == (True, None)


@pytest.mark.parametrize(
    ("subscription", "usage", "status"),
    [
        ('{"error": {"message": "no such token", "type": "one_api_error"}}', USAGE % "1", 200),
        ("<!doctype html><p>Sign in</p>", USAGE % "1", 200),
        ('{"object": "something else", "hard_limit_usd": 5}', USAGE % "1", 200),
        (SUBSCRIPTION % '"5"', USAGE % "1", 200),
        (SUBSCRIPTION % "true", USAGE % "1", 200),
        (SUBSCRIPTION % "NaN", USAGE % "1", 200),
        (SUBSCRIPTION % "null", USAGE % "1", 200),
        (SUBSCRIPTION % "9999999999999", USAGE % "1", 200),
        (SUBSCRIPTION % "5", '{"error": {"message": "later"}}', 200),
        (SUBSCRIPTION % "5", "{}", 200),
        ('{"error": {"message": "session keys only"}}', USAGE % "1", 403),
    ],
)
def test_what_is_no_balance_is_not_kept_and_the_last_good_one_stays(
    subscription: str, usage: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = make_channel()
    provider_says(monkeypatch, SUBSCRIPTION % "5", USAGE % "100")
    balances.refresh_balance(channel=channel, at=NOON)

    provider_says(monkeypatch, subscription, usage, status=status)
    answer = balances.refresh_balance(channel=channel, at=NOON + timedelta(hours=1))

    assert answer is None
    assert BalanceSnapshot.objects.get().remaining == 4


def test_a_provider_that_is_down_leaves_things_as_they_are() -> None:
    assert balances.refresh_balance(channel=make_channel(base_url="http://127.0.0.1:1"), at=NOON) is None
    assert not BalanceSnapshot.objects.exists()


def test_a_channel_that_is_deleted_while_its_provider_is_asked_gets_no_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    channel = make_channel()
    provider_says(monkeypatch, SUBSCRIPTION % "5", USAGE % "100")
    says = balances.call

    def delete_and_say(*args: Any, **options: Any) -> Answer:
        channels.delete_channel(actor=None, channel=channel)
        return says(*args, **options)

    monkeypatch.setattr(balances, "call", delete_and_say)

    assert balances.refresh_balance(channel=channel, at=NOON) is None
    assert not BalanceSnapshot.objects.exists()


def test_the_task_asks_every_enabled_channel_whatever_the_others_do(sandbox: SandboxServer) -> None:
    sandbox.reset()
    make_channel(base_url="http://127.0.0.1:1")
    channels.set_channel_status(actor=None, channel=channel_of(sandbox, name="off"), is_enabled=False)
    asked = channel_of(sandbox)

    tasks.refresh_balances()

    assert [snapshot.channel for snapshot in BalanceSnapshot.objects.all()] == [asked]


@pytest.mark.django_db(transaction=True)
def test_the_task_sweeps_expired_holds_until_none_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "HOLDS_AT_ONCE", 2)
    user = make_user(balance=1_000)
    made = make_token(user)
    expired = [admit_request(made, estimate=10, expires_at=NOON) for _ in range(5)]
    running = admit_request(made, estimate=7, expires_at=timezone.now() + timedelta(hours=1))
    calls.admit(requests=[*expired, running], at=NOON)

    tasks.expire_holds()

    assert Hold.objects.get().request_id == running.request_id
    assert account_of(user).held == 7
