"""Upstream accounts: their keys, their settings and what a change of them does."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from billing.models import BalanceSnapshot, Channel, ChannelTotals, ConfigVersion, UsageRecord
from billing.services import channels
from billing.services.calls import settle
from billing.services.channels import ChannelSettings
from tests.factories import NOON, make_channel, make_snapshot, make_token, make_user, settlement

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "sk-upstream-secret-0001"


def settings_of(**fields) -> ChannelSettings:
    return ChannelSettings(**{"name": "x", "base_url": "http://127.0.0.1:9", "models": ["m"], **fields})


def stored_rows() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM billing_channel")
        return str(cursor.fetchall())


def version() -> int:
    return ConfigVersion.objects.get().version


def test_a_key_is_encrypted_at_rest_and_only_its_end_is_shown() -> None:
    channel = make_channel(key=KEY)

    stored = Channel.objects.get()
    assert stored.get_key() == KEY
    assert stored.key_hint == "…0001"
    assert KEY not in stored_rows()
    assert "upstream-secret" not in stored_rows()
    assert channel.encrypted_key != make_channel(key=KEY).encrypted_key


@pytest.mark.parametrize(("key", "hint"), [("short", "…"), ("12345678901", "…"), ("123456789012", "…9012")])
def test_of_a_short_key_nothing_is_shown(key: str, hint: str) -> None:
    assert make_channel(key=key).key_hint == hint


def test_a_new_channel_has_its_counters_and_its_settings() -> None:
    channel = channels.create_channel(
        actor=None,
        settings=settings_of(
            model_mapping={"m": "theirs"},
            groups=["vip"],
            priority=-3,
            weight=7,
            cost_multiplier=Decimal("0.85"),
        ),
        key=KEY,
    )

    stored = Channel.objects.get(pk=channel.pk)
    assert (stored.model_mapping, stored.groups, stored.models) == ({"m": "theirs"}, ["vip"], ["m"])
    assert (stored.priority, stored.weight, stored.cost_multiplier) == (-3, 7, Decimal("0.85"))
    assert (stored.status, stored.is_sandbox) == ("enabled", False)
    totals = ChannelTotals.objects.get(channel=channel)
    assert (totals.used_quota, totals.request_count, totals.upstream_cost) == (0, 0, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "n" * 65},
        {"base_url": "not a URL"},
        {"base_url": "ftp://example.com/" + "x" * 300},
        {"weight": -1},
        {"cost_multiplier": Decimal(-1)},
        {"cost_multiplier": Decimal("NaN")},
    ],
)
def test_settings_that_are_not_valid_change_nothing(fields) -> None:
    channel = make_channel(key=KEY)
    before = (version(), stored_rows())

    with pytest.raises(ValidationError):
        channels.create_channel(actor=None, settings=settings_of(**fields), key=KEY)
    with pytest.raises(ValidationError):
        channels.update_channel(
            actor=None, channel=channel, settings=settings_of(**fields), key="sk-another-secret-key"
        )

    assert (version(), stored_rows()) == before
    assert ChannelTotals.objects.count() == 1


def test_an_edit_without_a_key_keeps_the_one_there_is() -> None:
    channel = make_channel(key=KEY)

    channels.update_channel(
        actor=None, channel=channel, settings=settings_of(name="renamed", models=["a", "b"])
    )

    stored = Channel.objects.get()
    assert (stored.name, stored.models, stored.get_key()) == ("renamed", ["a", "b"], KEY)


def test_an_edit_with_a_key_replaces_it() -> None:
    channel = make_channel(key=KEY)

    channels.update_channel(actor=None, channel=channel, settings=settings_of(), key="sk-another-secret-key")

    assert (Channel.objects.get().get_key(), Channel.objects.get().key_hint) == (
        "sk-another-secret-key",
        "…-key",
    )


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:10",
        "https://127.0.0.1:9",
        "http://127.0.0.1",
        "http://127.0.0.1:9@192.0.2.7",
        "http://192.0.2.7/?x=http://127.0.0.1:9",
        "  http://192.0.2.7",
    ],
)
def test_a_stored_key_goes_to_no_other_address(base_url: str) -> None:
    channel = make_channel(key=KEY)

    with pytest.raises(ValidationError, match="key again"):
        channels.update_channel(actor=None, channel=channel, settings=settings_of(base_url=base_url))

    assert Channel.objects.get().base_url == "http://127.0.0.1:9"


def test_a_new_address_is_taken_with_its_key() -> None:
    channel = make_channel(key=KEY)

    channels.update_channel(
        actor=None,
        channel=channel,
        settings=settings_of(base_url="http://192.0.2.7"),
        key="sk-another-secret-key",
    )

    assert Channel.objects.get().base_url == "http://192.0.2.7"


@pytest.mark.parametrize(
    "typed",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com/v1",
        "https://api.example.com/v1/",
        " https://api.example.com/v1/ ",
    ],
)
def test_every_way_of_writing_an_address_means_the_same(typed: str) -> None:
    assert make_channel(base_url=typed).base_url == "https://api.example.com"


@pytest.mark.parametrize("typed", ["http://v1", "http://v1/", "http://v1/v1", "http://v1/v1/"])
def test_a_host_that_is_called_v1_is_kept(typed: str) -> None:
    assert make_channel(base_url=typed).base_url == "http://v1"


def test_a_path_before_v1_is_kept() -> None:
    channel = make_channel(base_url="https://open.example.com/api/paas/v4/")

    assert channel.base_url == "https://open.example.com/api/paas/v4"


def test_an_edit_leaves_alone_what_changes_by_itself() -> None:
    channel = make_channel()
    channels.set_channel_status(actor=None, channel=channel, is_enabled=False)
    Channel.objects.filter(pk=channel.pk).update(test_ms=7, tested_at=NOON, test_error="broken")

    channels.update_channel(actor=None, channel=channel, settings=settings_of())

    stored = Channel.objects.get()
    assert (stored.status, stored.test_ms, stored.tested_at) == ("manually_disabled", 7, NOON)
    assert stored.test_error == "broken"


def test_a_channel_is_disabled_and_enabled_again() -> None:
    channel = make_channel()
    statuses = []

    for is_enabled in (False, True):
        channels.set_channel_status(actor=None, channel=channel, is_enabled=is_enabled)
        statuses.append(Channel.objects.get().status)

    assert statuses == ["manually_disabled", "enabled"]


def test_a_deleted_channel_goes_with_its_key_and_balances_and_its_usage_stays() -> None:
    channel = make_channel(name="gone")
    made = make_token(make_user(balance=100))
    settle(settlements=[settlement(made, channel, quota=20)], at=NOON)
    make_snapshot(channel=channel, kind="balance", remaining=1, created_at=NOON)

    channels.delete_channel(actor=None, channel=channel)

    assert not Channel.objects.exists()
    assert not ChannelTotals.objects.exists()
    assert not BalanceSnapshot.objects.exists()
    assert UsageRecord.objects.get().channel_name == "gone"


def test_a_call_in_flight_is_charged_though_its_channel_was_deleted() -> None:
    channel = make_channel()
    user = make_user(balance=100)
    call = settlement(make_token(user), channel, quota=20)

    channels.delete_channel(actor=None, channel=channel)
    [settled] = settle(settlements=[call], at=NOON)

    assert settled.available == 80


def test_every_change_of_a_channel_moves_the_configurations_version() -> None:
    versions = [version()]
    channel = make_channel()
    versions.append(version())

    for change in (
        lambda: channels.update_channel(actor=None, channel=channel, settings=settings_of()),
        lambda: channels.set_channel_status(actor=None, channel=channel, is_enabled=False),
        lambda: channels.delete_channel(actor=None, channel=channel),
    ):
        change()
        versions.append(version())

    assert versions == [versions[0] + step for step in range(5)]
