"""A provider that says it has no money for us is asked at once what is left, and nothing else happens."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NoReturn

import openai
import pytest
from django.db import OperationalError
from django.utils import timezone

from billing.models import BalancePoll, Channel, UsageRecord
from billing.services import polling
from billing.services.balances import claim
from relay import balances
from relay.balances import BalanceAsking
from tests.factories import NOON, make_channel, make_token, make_user
from tests.support.waiting import wait_until

MESSAGES = [{"role": "user", "content": "hi"}]
LATER = timedelta(minutes=10)


def poll_later(channel: Channel, **fields) -> None:
    BalancePoll.objects.filter(pk=channel.pk).update(due_at=timezone.now() + LATER, **fields)


def is_due(channel: Channel) -> bool:
    return BalancePoll.objects.get(pk=channel.pk).due_at <= timezone.now()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", ["sandbox-insufficient-quota", "sandbox-spend-limit"])
def test_a_refusal_for_want_of_money_makes_the_balance_due_and_disables_nothing(
    channel, client_of, model
) -> None:
    poll_later(channel)

    with pytest.raises(openai.InternalServerError):
        client_of(make_token(make_user(balance=5_000))).chat.completions.create(
            model=model, messages=MESSAGES
        )

    wait_until(lambda: is_due(channel), seconds=20)
    channel.refresh_from_db()
    assert channel.is_enabled


@pytest.mark.django_db(transaction=True)
def test_a_channel_that_was_passed_over_is_asked_and_one_that_was_only_too_busy_is_not(
    channel, client_of, sandbox
) -> None:
    others = {
        name: make_channel(
            name=name,
            base_url=sandbox.origin,
            key=sandbox.api_key,
            models=["sandbox-echo"],
            model_mapping={"sandbox-echo": model},
            priority=priority,
        )
        for name, model, priority in (
            ("busy", "sandbox-rate-limit", 9),
            ("broke", "sandbox-insufficient-quota", 5),
        )
    }
    for one in (channel, *others.values()):
        poll_later(one)

    client_of(make_token(make_user(balance=5_000))).chat.completions.create(
        model="sandbox-echo", messages=MESSAGES
    )

    wait_until(lambda: is_due(others["broke"]), seconds=20)
    assert UsageRecord.objects.get().channel_name == "sandbox"
    assert not is_due(others["busy"])
    assert not is_due(channel)


@pytest.mark.django_db
def test_it_is_due_at_once_and_asked_with_the_next_round() -> None:
    channel = make_channel()
    poll_later(channel)

    assert polling.ask_soon(channel_id=channel.pk, at=timezone.now())

    assert is_due(channel)
    assert claim(channel_id=channel.pk, at=timezone.now(), is_due=True) is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked_ago", "failures", "due_in"),
    [
        (None, 0, timedelta(0)),
        (timedelta(seconds=90), 0, timedelta(0)),
        (timedelta(seconds=20), 0, timedelta(seconds=40)),
        (None, 1, LATER),
        (timedelta(seconds=90), 1, LATER),
        (timedelta(hours=2), 9, LATER),
    ],
)
def test_nobody_is_asked_more_than_once_a_minute_and_who_could_not_be_asked_is_left_in_peace(
    asked_ago, failures: int, due_in: timedelta
) -> None:
    channel = make_channel()
    asked_at = None if asked_ago is None else NOON - asked_ago
    BalancePoll.objects.update(due_at=NOON + LATER, asked_at=asked_at, failures=failures)

    polling.ask_soon(channel_id=channel.pk, at=NOON)

    assert BalancePoll.objects.get().due_at == NOON + due_in


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields", [{"is_refused": True}, {"due_at": NOON - LATER}, {"due_at": NOON + timedelta(seconds=1)}]
)
def test_one_that_refuses_or_is_due_anyway_is_left_as_it_is(fields) -> None:
    channel = make_channel()
    wanted = {"due_at": NOON + LATER, "asked_at": NOON - timedelta(seconds=50), **fields}
    BalancePoll.objects.update(**wanted)

    assert not polling.ask_soon(channel_id=channel.pk, at=NOON)

    assert BalancePoll.objects.get().due_at == wanted["due_at"]


@pytest.mark.django_db
def test_a_channel_that_is_gone_is_no_matter() -> None:
    assert not polling.ask_soon(channel_id=10**9, at=NOON)


class Held(Executor):
    """A thread that is busy with something else."""

    def __init__(self) -> None:
        self.waiting: list[int] = []

    def submit(self, _work: Callable[..., Any], channel_id: int) -> Future[Any]:
        self.waiting.append(channel_id)
        return Future()


def refuse_calls(asking: BalanceAsking, *channel_ids: int) -> None:
    async def refusals() -> None:
        for channel_id in channel_ids:
            asking.hurry(channel_id)

    asyncio.run(refusals())


def test_many_refusals_ask_once_a_minute_for_each_channel_and_nobody_waits() -> None:
    thread = Held()

    refuse_calls(BalanceAsking(thread), *[1, 2] * 100)

    assert thread.waiting == [1, 2]


def test_after_a_minute_it_is_asked_again(monkeypatch) -> None:
    monkeypatch.setattr(balances, "EVERY_S", 0)
    thread = Held()

    refuse_calls(BalanceAsking(thread), 1, 1)

    assert thread.waiting == [1, 1]


def test_while_the_database_is_away_the_next_refusal_tries_again(monkeypatch) -> None:
    asked: list[int] = []

    def be_away(*, channel_id: int, **_fields: Any) -> NoReturn:
        asked.append(channel_id)
        raise OperationalError

    monkeypatch.setattr(balances, "ask_soon", be_away)
    with ThreadPoolExecutor(1) as thread:
        asking = BalanceAsking(thread)
        refuse_calls(asking, 1)
        thread.submit(lambda: None).result()
        refuse_calls(asking, 1)

    assert asked == [1, 1]
