"""What follows from a provider's statement for its channel."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import AuditEvent
from billing.models import BalancePoll, BalanceSnapshot, Channel, ChannelStatus, DisabledReason
from billing.services import balances, channels
from billing.services.config import load_config
from billing.services.snapshots import has_money, is_near_limit
from billing.upstream.balances.errors import BalanceUnavailableError
from tests.factories import NOON, make_admin, make_channel, make_snapshot
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


@pytest.fixture
def channel(sandbox: SandboxServer) -> Channel:
    return make_channel(base_url=sandbox.origin, key=KEY, balance_source="sandbox")


def read(channel: Channel, *, seconds: int) -> Channel:
    balances.refresh_balance(channel=channel, at=NOON + timedelta(seconds=seconds))
    return Channel.objects.get(pk=channel.pk)


def test_an_empty_account_disables_its_channel_at_the_second_reading(
    sandbox: SandboxServer, channel: Channel
) -> None:
    sandbox.set_account(balance_usd="0")

    once = read(channel, seconds=0)
    soon = BalancePoll.objects.get(pk=channel.pk).due_at
    twice = read(channel, seconds=30)

    assert (once.status, once.disabled_reason) == ("enabled", "")
    assert soon <= NOON + timedelta(seconds=33), "it is asked again at once"
    assert (twice.status, twice.disabled_reason) == ("auto_disabled", "balance_exhausted")
    assert not load_config().routes
    event = AuditEvent.objects.get(action="channel.status_changed")
    assert event.actor is None
    assert event.changes["status"] == {"old": "enabled", "new": "auto_disabled"}


def test_one_odd_reading_disables_nothing(sandbox: SandboxServer, channel: Channel) -> None:
    for second, balance in enumerate(["5", "0", "5", "0", "5"]):
        sandbox.set_account(balance_usd=balance)
        assert read(channel, seconds=60 * second).status == "enabled"


def test_two_readings_at_the_same_moment_are_one(sandbox: SandboxServer, channel: Channel) -> None:
    sandbox.set_account(balance_usd="0")
    read(channel, seconds=0)

    assert read(channel, seconds=1).status == "enabled"


def test_a_recharge_enables_it_again(sandbox: SandboxServer, channel: Channel) -> None:
    sandbox.set_account(balance_usd="0")
    read(channel, seconds=0)
    read(channel, seconds=30)
    sandbox.set_account(balance_usd="10")

    again = read(channel, seconds=60)

    assert (again.status, again.disabled_reason) == ("enabled", "")
    assert AuditEvent.objects.filter(action="channel.status_changed").count() == 2
    assert len(load_config().routes) == 1


@pytest.mark.parametrize(
    "beside",
    [
        [],
        [{"remaining": Decimal(0), "currency": "CNY"}, {"remaining": Decimal(50), "currency": "USD"}],
        [{"remaining": Decimal(0), "is_weak": True}],
        [{"remaining": Decimal(-1), "is_estimated": True}],
    ],
)
def test_a_limit_of_a_period_that_is_over_holds_no_channel_back_though_nobody_can_be_asked(
    sandbox: SandboxServer, channel: Channel, beside: list[dict[str, Any]]
) -> None:
    for told in beside:
        make_snapshot(channel=channel, source="sandbox", **told)
    month = NOON + timedelta(days=30)
    used_up = {"kind": "spend", "limit": Decimal(10), "used": Decimal(10), "resets_at": month}
    make_snapshot(channel=channel, **used_up)
    channels.change_status(
        actor=None,
        channel_id=channel.pk,
        status=ChannelStatus.AUTO_DISABLED,
        reason=DisabledReason.SPEND_LIMIT,
    )
    Channel.objects.filter(pk=channel.pk).update(base_url="http://127.0.0.1:9")
    BalancePoll.objects.filter(pk=channel.pk).update(empty_since=NOON)

    seen = []
    for at in (month - timedelta(seconds=1), month):
        with pytest.raises(BalanceUnavailableError):
            balances.refresh_balance(channel=Channel.objects.get(pk=channel.pk), at=at)
        seen.append(Channel.objects.get(pk=channel.pk).status)

    assert seen == ["auto_disabled", "enabled"]
    assert BalancePoll.objects.get(pk=channel.pk).empty_since is None, "one odd reading disables nothing"


def test_a_limit_that_is_over_enables_no_channel_whose_account_is_empty(
    sandbox: SandboxServer, channel: Channel
) -> None:
    make_snapshot(channel=channel, remaining=Decimal(0))
    make_snapshot(channel=channel, kind="spend", limit=Decimal(9), used=Decimal(9), resets_at=NOON)
    channels.change_status(
        actor=None,
        channel_id=channel.pk,
        status=ChannelStatus.AUTO_DISABLED,
        reason=DisabledReason.SPEND_LIMIT,
    )
    Channel.objects.filter(pk=channel.pk).update(base_url="http://127.0.0.1:9")

    with pytest.raises(BalanceUnavailableError):
        balances.refresh_balance(channel=Channel.objects.get(pk=channel.pk), at=NOON)

    assert Channel.objects.get(pk=channel.pk).status == "auto_disabled"


def test_a_channel_that_an_operator_disabled_is_left_alone(sandbox: SandboxServer, channel: Channel) -> None:
    channels.set_channel_status(actor=make_admin(), channel=channel, is_enabled=False)
    for second, balance in enumerate(["0", "0", "10"]):
        sandbox.set_account(balance_usd=balance)
        assert read(channel, seconds=60 * second).status == "manually_disabled"


def test_the_relay_hears_of_it_when_money_comes_and_goes(sandbox: SandboxServer, channel: Channel) -> None:
    seen = []
    for second, balance in enumerate(["5", "4", "0", "3"]):
        sandbox.set_account(balance_usd=balance)
        read(channel, seconds=60 * second)
        config = load_config()
        seen.append((config.version, config.routes[0].has_money))

    versions, money = zip(*seen, strict=True)
    assert money == (True, True, False, True)
    assert versions[0] == versions[1] < versions[2] < versions[3]


def snapshot(kind: str, *, left: str | None = None, currency: str = "USD", **fields) -> BalanceSnapshot:
    amounts = {name: Decimal(fields.pop(name)) for name in ("limit", "used") if name in fields}
    remaining = None if left is None else Decimal(left)
    return BalanceSnapshot(kind=kind, remaining=remaining, currency=currency, **amounts, **fields)


@pytest.mark.parametrize(
    ("snapshots", "expected"),
    [
        ([], None),
        ([snapshot("balance")], None),
        ([snapshot("balance", left="1")], True),
        ([snapshot("balance", left="0")], False),
        ([snapshot("balance", left="-2")], False),
        ([snapshot("balance", left="0"), snapshot("balance", left="3", currency="CNY")], True),
        ([snapshot("balance", left="5"), snapshot("key_budget", left="0")], False),
        ([snapshot("balance", left="5"), snapshot("spend", limit="10", used="10")], False),
        ([snapshot("spend", limit="10", used="9")], None),
        ([snapshot("spend", used="9")], None),
        ([snapshot("key_budget", is_unlimited=True)], True),
        ([snapshot("balance", left="-3", is_usable=True)], True),
        ([snapshot("balance", left="5", is_usable=False)], False),
        ([snapshot("balance", is_usable=False)], None),
        ([snapshot("spend", limit="9", used="9"), snapshot("spend", used="1", currency="EUR")], False),
    ],
)
def test_an_account_has_money_when_nothing_of_it_is_used_up(
    snapshots: list[BalanceSnapshot], expected: bool | None
) -> None:
    assert has_money(snapshots, at=NOON) is expected


def test_what_was_used_up_in_a_period_that_is_over_says_nothing() -> None:
    used_up = snapshot("spend", limit="10", used="10", resets_at=NOON)

    assert has_money([used_up], at=NOON - timedelta(seconds=1)) is False
    assert has_money([used_up], at=NOON) is None


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("100", "94", False), ("100", "95", True), ("100", "120", True), ("0", "0", False)],
)
def test_a_limit_is_near_from_95_percent_on(limit: str, used: str, expected: bool) -> None:
    assert is_near_limit([snapshot("spend", limit=limit, used=used)], at=NOON) is expected
    assert not is_near_limit([snapshot("balance", limit=limit, used=used)], at=NOON)
    assert not is_near_limit([snapshot("spend", limit=limit, used=used, resets_at=NOON)], at=NOON)
