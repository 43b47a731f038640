"""Asking the providers of many channels: who is due, once, and no host too often."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, connection
from django.utils import timezone

from billing import tasks
from billing.models import BalancePoll, BalanceSnapshot, Channel
from billing.services import channels, polling
from billing.services.balances import CLAIMED_FOR, Claim
from tests.factories import make_admin, make_channel
from tests.support.balance_site import Site, balance_site

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def running_site() -> Iterator[Site]:
    with balance_site() as site:
        yield site


@pytest.fixture
def site(running_site: Site) -> Site:
    for counted in (running_site.asked, running_site.most_at_once):
        counted.clear()
    running_site.takes_s = 0.0
    return running_site


def make_channels(site: Site, *hosts: int) -> list[Channel]:
    return [make_channel(base_url=site.url(host), key=f"sk-{number:08}") for number, host in enumerate(hosts)]


def make_due() -> None:
    BalancePoll.objects.update(due_at=timezone.now())


def test_a_channel_is_asked_when_it_is_due_and_then_not_for_ten_minutes(site: Site) -> None:
    [channel] = make_channels(site, 1)
    make_due()

    tasks.reconcile_channels()
    tasks.reconcile_channels()

    assert site.asked.total() == 1
    assert BalanceSnapshot.objects.get().channel == channel
    wait = BalancePoll.objects.get().due_at - timezone.now()
    assert timedelta(minutes=8.9) < wait < timedelta(minutes=11.1)


def test_each_channel_has_a_time_of_its_own(site: Site) -> None:
    quick = make_channel(base_url=site.url(1), balance_minutes=1)
    slow = make_channel(base_url=site.url(1), balance_minutes=1440)
    make_due()

    polling.ask_due(at=timezone.now())

    waits = {poll.pk: poll.due_at - timezone.now() for poll in BalancePoll.objects.all()}
    assert waits[quick.pk] < timedelta(minutes=1.2)
    assert waits[slow.pk] > timedelta(hours=21)


def test_a_new_channel_and_a_changed_one_are_asked_at_once(site: Site) -> None:
    [channel] = make_channels(site, 1)
    assert polling.ask_due(at=timezone.now()) == 1
    settings = channels.ChannelSettings(name="new name", base_url=channel.base_url, models=["a"])
    channels.update_channel(actor=make_admin(), channel=channel, settings=settings)

    assert polling.ask_due(at=timezone.now()) == 1


def test_one_that_an_operator_disabled_is_not_asked_one_without_money_is(site: Site) -> None:
    by_hand, by_itself = make_channels(site, 1, 1)
    channels.change_status(actor=None, channel_id=by_hand.pk, status="manually_disabled")
    channels.change_status(actor=None, channel_id=by_itself.pk, status="auto_disabled")
    make_due()

    polling.ask_due(at=timezone.now())

    assert [snapshot.channel for snapshot in BalanceSnapshot.objects.all()] == [by_itself]


def test_one_that_fails_does_not_stop_the_others(site: Site) -> None:
    make_channel(base_url="http://127.0.0.1:1")
    [asked] = make_channels(site, 1)
    make_due()

    assert polling.ask_due(at=timezone.now()) == 2

    assert [snapshot.channel for snapshot in BalanceSnapshot.objects.all()] == [asked]
    assert list(BalancePoll.objects.order_by("pk").values_list("failures", flat=True)) == [1, 0]


def test_one_whose_answer_cannot_be_kept_does_not_stop_the_others_either(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison, *others = make_channels(site, 1, 2, 3)
    keep = polling.keep

    def keep_or_fail(mine: Claim, *arguments: object, **options: object) -> list[BalanceSnapshot]:
        if mine.channel.pk == poison.pk:
            raise DataError("out of range")
        return keep(mine, *arguments, **options)

    monkeypatch.setattr(polling, "keep", keep_or_fail)
    make_due()

    assert polling.ask_due(at=timezone.now()) == 3

    assert {snapshot.channel for snapshot in BalanceSnapshot.objects.all()} == set(others)
    poll = BalancePoll.objects.get(pk=poison.pk)
    assert (poll.failures, poll.claimed_until) == (1, None)
    assert poll.due_at > timezone.now() + timedelta(minutes=9)


def test_no_second_round_begins_while_one_is_under_way(site: Site) -> None:
    make_channels(site, *range(1, 7))
    make_due()
    asking = BalancePoll.objects.order_by("pk").values_list("pk", flat=True)[:4]
    BalancePoll.objects.filter(pk__in=list(asking)).update(claimed_until=timezone.now() + CLAIMED_FOR)

    assert polling.ask_due(at=timezone.now()) == 0


def test_many_are_asked_at_once_but_no_host_by_more_than_four(site: Site) -> None:
    site.takes_s = 0.05
    make_channels(site, *[1] * 12, *range(2, 42))
    make_due()

    assert polling.ask_due(at=timezone.now()) == 52

    assert BalanceSnapshot.objects.count() == 52
    assert site.most_at_once["127.0.0.1"] == polling.AT_ONCE_EACH_HOST
    assert 16 < site.most_at_once["all"] <= polling.AT_ONCE


@pytest.mark.django_db(transaction=True)
def test_two_rounds_at_the_same_moment_ask_everybody_once(site: Site) -> None:
    site.takes_s = 0.02
    make_channels(site, *range(1, 41))
    make_due()

    def one_round(_number: int) -> int:
        try:
            return polling.ask_due(at=timezone.now())
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        asked = sum(pool.map(one_round, range(2)))

    assert asked == 40
    assert set(site.asked.values()) == {1}
    assert len(site.asked) == 40


def test_what_a_dead_worker_had_claimed_is_asked_when_its_claim_is_over(site: Site) -> None:
    make_channels(site, 1, 2)
    make_due()
    now = timezone.now()
    BalancePoll.objects.update(claimed_until=now + CLAIMED_FOR)

    assert polling.ask_due(at=now) == 0
    BalancePoll.objects.update(claimed_until=now - timedelta(seconds=1))
    assert polling.ask_due(at=timezone.now()) == 2


# --- The command -------------------------------------------------------------------------------


def test_the_command_asks_now_whatever_is_due_and_says_what_is_left(site: Site, capsys) -> None:
    first, _second = make_channels(site, 1, 2)
    call_command("reconcile_channels")
    everybody = capsys.readouterr().out
    call_command("reconcile_channels", str(first.pk))
    one = capsys.readouterr().out

    assert f"{first.pk} upstream: ok, 9.000000 USD left" in everybody
    assert "2 asked, 0 without an answer." in everybody
    assert "1 asked, 0 without an answer." in one


def test_the_command_fails_where_a_provider_does_not_answer_or_a_channel_is_not_there(
    site: Site, capsys
) -> None:
    make_channels(site, 1)
    dead = make_channel(base_url="http://127.0.0.1:1")

    with pytest.raises(CommandError, match="Not every"):
        call_command("reconcile_channels")
    assert f"{dead.pk} upstream: unsupported, balance unknown: " in capsys.readouterr().out
    with pytest.raises(CommandError, match=r"There is no channel 7, 8\."):
        call_command("reconcile_channels", "7", "8")
