"""What providers say they hold, from a real sandbox, and what is kept of it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from billing import tasks
from billing.models import BalancePoll, BalanceSnapshot, Channel, ChannelTotals, Hold
from billing.services import balances, calls, channels
from billing.services.snapshots import has_money, newest_snapshots
from billing.upstream.balances.errors import BalanceRefusedError, BalanceUnavailableError
from tests.billing.upstream.balances.provider import Answering, Provider, providing
from tests.factories import NOON, account_of, admit_request, make_admin, make_channel, make_token, make_user
from tests.sandbox.server import SandboxServer, start_sandbox

pytestmark = pytest.mark.django_db

KEY = "sk-sandbox-0123456789"


@pytest.fixture(scope="module")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), api_key=KEY) as server:
        yield server


@pytest.fixture
def sandbox(running_sandbox: SandboxServer) -> SandboxServer:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Provider]:
    with providing() as server:
        yield server


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    running_provider.start_again()
    return running_provider


def channel_of(sandbox: SandboxServer, **fields: Any) -> Channel:
    usual = {"base_url": sandbox.origin, "key": KEY, "models": ["sandbox-echo"], "balance_source": "sandbox"}
    return make_channel(**{**usual, **fields})


def read(channel: Channel, *, minutes: int = 0) -> BalanceSnapshot:
    [snapshot] = balances.refresh_balance(channel=channel, at=NOON + timedelta(minutes=minutes))
    return snapshot


def poll_of(channel: Channel) -> BalancePoll:
    return BalancePoll.objects.get(pk=channel.pk)


def test_the_balance_is_read_exactly_and_falls_with_use(sandbox: SandboxServer) -> None:
    sandbox.set_account(balance_usd="12.340005")
    channel = channel_of(sandbox)

    before = read(channel)
    sandbox.chat()
    after = read(channel, minutes=10)

    assert (before.remaining, before.currency, before.created_at) == (Decimal("12.340005"), "USD", NOON)
    assert (before.kind, before.source, before.used) == ("balance", "sandbox", 0)
    assert after.remaining == Decimal(sandbox.account()["balance_usd"])
    assert after.used == Decimal(sandbox.account()["used_usd"])
    assert after.remaining < before.remaining
    assert BalanceSnapshot.objects.count() == 2


def test_what_was_metered_until_then_stands_with_it(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)
    ChannelTotals.objects.filter(pk=channel.pk).update(upstream_cost=123_456_789)

    assert read(channel).metered == 123_456_789


def test_the_answers_are_kept_without_the_key(sandbox: SandboxServer) -> None:
    raw = read(channel_of(sandbox)).raw

    assert "GET /v1/dashboard/billing/subscription 200\n" in raw
    assert "hard_limit_usd" in raw
    assert KEY not in raw


def test_the_same_again_is_not_written_again_for_an_hour(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)

    seen = [read(channel, minutes=minutes).pk for minutes in (0, 10, 59, 60, 70)]

    assert seen == [seen[0]] * 3 + [seen[3]] * 2
    assert BalanceSnapshot.objects.count() == 2
    assert poll_of(channel).answered_at == NOON + timedelta(minutes=70)


def test_a_relay_tells_what_its_key_may_still_spend(sandbox: SandboxServer) -> None:
    snapshot = read(channel_of(sandbox, balance_source=""))

    assert (snapshot.kind, snapshot.source) == ("key_budget", "one_api_token")


def test_a_provider_that_is_down_leaves_things_as_they_are(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)
    known = read(channel)
    Channel.objects.filter(pk=channel.pk).update(base_url="http://127.0.0.1:1")

    with pytest.raises(BalanceUnavailableError):
        read(channel, minutes=10)

    assert BalanceSnapshot.objects.get() == known
    poll = poll_of(channel)
    assert (poll.failures, poll.is_refused, poll.claimed_until) == (1, False, None)
    assert poll.answered_at == NOON
    assert "refused" in poll.error


def test_a_provider_that_refuses_is_not_asked_again_soon(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox, key="sk-of-somebody-else-01")

    with pytest.raises(BalanceRefusedError):
        read(channel)

    poll = poll_of(channel)
    assert (poll.failures, poll.is_refused) == (1, True)
    assert poll.due_at > NOON + timedelta(minutes=50)
    assert not BalanceSnapshot.objects.exists()


def test_one_that_fails_again_and_again_is_asked_later_and_later() -> None:
    channel, waits = make_channel(), []

    for _ in range(12):
        with pytest.raises(BalanceUnavailableError):
            balances.refresh_balance(channel=channel, at=NOON)
        waits.append((poll_of(channel).due_at - NOON) / timedelta(minutes=10))

    for number, wait in enumerate(waits):
        assert 0.89 < wait / min(2**number, 36) < 1.11, waits
    assert len(set(waits[6:])) > 1, "they do not come back at the same moment"


def test_the_wait_that_a_provider_asks_for_is_kept(provider: Provider) -> None:
    provider.answers.append(Answering(status=404, body="{}"))  # it is no New API
    provider.answers.append(Answering(status=429, body="{}", headers={"Retry-After": "7200"}))
    channel = make_channel(base_url=provider.origin)

    with pytest.raises(BalanceUnavailableError):
        balances.refresh_balance(channel=channel, at=NOON)

    assert poll_of(channel).due_at >= NOON + timedelta(hours=1, minutes=48)


def test_two_cannot_ask_at_the_same_time_and_a_dead_one_does_not_stop_others(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)
    dead = balances.claim(channel_id=channel.pk, at=NOON)

    with pytest.raises(balances.BalanceBeingReadError):
        read(channel, minutes=1)
    read(channel, minutes=5)

    assert dead is not None
    assert balances.keep(dead, balances.ask(dead, at=NOON), at=NOON) == []
    assert BalanceSnapshot.objects.count() == 1


def test_a_channel_that_is_deleted_while_its_provider_is_asked_gets_no_snapshot(
    sandbox: SandboxServer,
) -> None:
    channel = channel_of(sandbox)
    mine = balances.claim(channel_id=channel.pk, at=NOON)
    assert mine is not None
    told = balances.ask(mine, at=NOON)
    channels.delete_channel(actor=None, channel=channel)

    assert balances.keep(mine, told, at=NOON) == []
    assert not BalanceSnapshot.objects.exists()
    with pytest.raises(balances.BalanceBeingReadError):
        balances.refresh_balance(channel=channel, at=NOON)


def test_a_key_that_cannot_be_decrypted_is_said_to_be_so(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)
    Channel.objects.filter(pk=channel.pk).update(encrypted_key="of another installation")

    with pytest.raises(BalanceRefusedError, match="enter it again"):
        read(channel)


# --- By hand -----------------------------------------------------------------------------------


def enter(channel: Channel, amount: str, *, minutes: int = 0) -> BalanceSnapshot:
    at = NOON + timedelta(minutes=minutes)
    return balances.enter_balance(
        actor=make_admin(), channel=channel, remaining=Decimal(amount), currency="USD", at=at
    )


def spend(channel: Channel, nano_usd: int) -> None:
    totals = ChannelTotals.objects.get(pk=channel.pk)
    totals.upstream_cost += nano_usd
    totals.save()


def test_what_calls_cost_is_taken_off_a_balance_that_was_entered_by_hand() -> None:
    channel = make_channel(balance_source="manual")
    spend(channel, 5 * 10**9)

    entered = enter(channel, "20")
    spend(channel, 1_500_000_000)
    first = read(channel, minutes=10)
    spend(channel, 500_001_000)
    second = read(channel, minutes=20)

    assert (entered.remaining, entered.is_estimated) == (20, False)
    assert (first.remaining, first.is_estimated) == (Decimal("18.5"), True)
    assert second.remaining == Decimal("17.999999")
    assert AuditEvent.objects.filter(action="channel.balance_entered", subject_id=channel.pk).count() == 1


def test_what_is_entered_again_is_compared_with_what_was_entered_before() -> None:
    channel = make_channel(balance_source="manual")
    enter(channel, "20")
    spend(channel, 2 * 10**9)
    read(channel, minutes=10)

    enter(channel, "17.5", minutes=20)

    row = channel.reconciliations.get()
    assert (row.taken, row.metered, row.drift, row.status) == (Decimal("2.5"), 2, Decimal("0.5"), "drift")


def test_nothing_is_known_before_a_balance_is_entered() -> None:
    channel = make_channel(base_url="https://api.groq.com/openai")

    with pytest.raises(balances.BalanceNotToldError):
        read(channel)

    assert poll_of(channel).failures == 0


def test_a_balance_in_a_currency_without_a_rate_is_not_entered() -> None:
    channel = make_channel(balance_source="manual")

    with pytest.raises(balances.CurrencyWithoutRateError):
        balances.enter_balance(
            actor=make_admin(), channel=channel, remaining=Decimal(5), currency="CNY", at=NOON
        )

    assert not BalanceSnapshot.objects.exists()
    assert poll_of(channel).claimed_until is None


# --- Another account ---------------------------------------------------------------------------


def edit(channel: Channel, *, key: str = "", **changes: Any) -> None:
    channel.refresh_from_db()
    settings = replace(channels.ChannelSettings.of(channel), **changes)
    channels.update_channel(actor=make_admin(), channel=channel, settings=settings, key=key)


def test_what_another_source_told_counts_no_more(sandbox: SandboxServer) -> None:
    sandbox.set_account(balance_usd="0")
    channel = channel_of(sandbox, balance_source="one_api_token")
    assert read(channel).has_money is False
    sandbox.set_account(balance_usd="50")

    edit(channel, balance_source="sandbox")
    unknown = newest_snapshots([channel.pk])
    read(channel, minutes=1)

    assert unknown == []
    assert [row.kind for row in newest_snapshots([channel.pk])] == ["balance"]
    assert has_money(newest_snapshots([channel.pk]), at=NOON) is True


def test_two_accounts_are_not_compared_with_one_another(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)
    read(channel)
    sandbox.set_account(balance_usd="1")

    edit(channel, key=KEY)
    read(channel, minutes=1)
    sandbox.set_account(balance_usd="0.5")
    read(channel, minutes=2)

    assert channel.reconciliations.count() == 1


def test_an_edit_of_other_things_keeps_what_is_known(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)
    known = read(channel)

    edit(channel, name="renamed")

    assert newest_snapshots([channel.pk]) == [known]


def test_what_the_account_before_an_edit_says_is_not_heard(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)
    mine = balances.claim(channel_id=channel.pk, at=NOON)
    assert mine is not None
    told = balances.ask(mine, at=NOON)

    edit(channel, key="sk-of-another-account-01")

    assert balances.keep(mine, told, at=NOON) == []
    assert not BalanceSnapshot.objects.exists()


# --- Jobs --------------------------------------------------------------------------------------


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
