"""The configuration as the relay reads it."""

from decimal import Decimal

import pytest
from django.db import transaction

from billing.models import Channel, ConfigVersion
from billing.services import channels
from billing.services.config import bump_version, load_config
from billing.services.snapshots import newest_snapshots
from relay.planning import ConfigCache, StaleConfigError
from tests.factories import NOON, make_channel, make_request_price, make_snapshot, make_token_price

pytestmark = pytest.mark.django_db(transaction=True)


def snapshot(channel, remaining, kind="balance", **fields) -> None:
    make_snapshot(
        channel=channel,
        kind=kind,
        remaining=None if remaining is None else Decimal(remaining),
        created_at=NOON,
        **fields,
    )


def test_an_enabled_channel_is_a_route_ready_to_be_called() -> None:
    channel = make_channel(
        name="one",
        base_url="http://127.0.0.1:9/",
        key="sk-upstream-secret-0001",
        models=["a", "b"],
        model_mapping={"a": "theirs"},
        groups=["default", "vip"],
        priority=3,
        weight=4,
        cost_multiplier=Decimal("0.5"),
    )

    [route] = load_config().routes

    assert (route.channel_id, route.name, route.base_url) == (channel.pk, "one", "http://127.0.0.1:9")
    assert route.key == "sk-upstream-secret-0001"
    assert (route.served_model("a"), route.served_model("b")) == ("theirs", "b")
    assert (route.priority, route.weight, route.cost_multiplier) == (3, 4, Decimal("0.5"))


def test_a_disabled_channel_is_no_route_but_its_models_are_known() -> None:
    make_channel(models=["a"])
    disabled = make_channel(models=["b"])

    channels.set_channel_status(actor=None, channel=disabled, is_enabled=False)

    config = load_config()
    assert [route.models for route in config.routes] == [frozenset({"a"})]
    assert config.known_models == {"a", "b"}
    assert config.models_for(group="default") == {"a"}


def test_an_automatically_disabled_channel_is_no_route_either() -> None:
    channel = make_channel()
    type(channel).objects.update(status="auto_disabled")

    assert load_config().routes == ()


def test_routes_belong_to_groups_and_models() -> None:
    make_channel(name="everyone", models=["a", "b"])
    make_channel(name="vip", models=["a"], groups=["vip"])

    config = load_config()

    assert [route.name for route in config.routes_for(group="default", model="a")] == ["everyone"]
    assert [route.name for route in config.routes_for(group="vip", model="a")] == ["vip"]
    assert config.routes_for(group="vip", model="b") == []
    assert config.routes_for(group="guests", model="a") == []
    assert (config.models_for(group="default"), config.models_for(group="vip")) == ({"a", "b"}, {"a"})


def test_the_price_of_the_model_that_is_served_comes_before_the_one_asked_for() -> None:
    make_request_price("served", usd="0.1")
    make_request_price("asked", usd="0.2")
    config = load_config()

    def request_price(model: str, served_model: str) -> int | None:
        rate = config.rate(model=model, served_model=served_model, at=NOON)
        return rate and rate.request

    assert request_price("asked", "served") == 100_000_000
    assert request_price("asked", "unheard-of") == 200_000_000
    assert request_price("unheard-of", "served") == 100_000_000
    assert request_price("unheard-of", "unheard-of-too") is None


def test_an_operators_price_comes_before_the_catalogues_for_callers_and_never_for_our_cost() -> None:
    make_token_price("gpt-4o", input="99", output="99")
    config = load_config()

    rate = config.rate(model="gpt-4o", served_model="gpt-4o", at=NOON)
    assert rate is not None
    upstream = config.upstream_rate(served_model="gpt-4o", at=NOON, fallback=rate)

    assert rate.version.startswith("operator:")
    assert upstream.version.startswith("catalogue:")
    assert config.upstream_rate(served_model="unheard-of", at=NOON, fallback=rate) is rate


@pytest.mark.parametrize(
    ("remaining", "has_money"), [("5", True), ("0.000001", True), ("0", False), ("-1", False), (None, None)]
)
def test_a_balance_says_whether_a_channel_has_money_and_unknown_is_not_0(remaining, has_money) -> None:
    snapshot(make_channel(), remaining)

    assert load_config().routes[0].has_money is has_money


def test_the_newest_balance_of_each_channel_counts_and_limits_are_no_balances() -> None:
    first, second, third = make_channel(), make_channel(), make_channel()
    snapshot(first, "5")
    snapshot(second, "7")
    snapshot(first, "0")
    snapshot(first, "900", kind="spend")
    snapshot(third, "900", kind="spend")

    found = {(row.channel_id, row.kind): row.remaining for row in newest_snapshots()}

    assert found == {
        (first.pk, "balance"): 0,
        (second.pk, "balance"): 7,
        (first.pk, "spend"): 900,
        (third.pk, "spend"): 900,
    }
    assert [route.has_money for route in load_config().routes] == [False, True, None]


def test_the_version_moves_only_inside_the_transaction_of_a_change() -> None:
    before = load_config().version

    with pytest.raises(transaction.TransactionManagementError):
        bump_version()
    with transaction.atomic():
        bump_version()

    assert load_config().version == before + 1


def test_a_change_that_is_rolled_back_moves_nothing() -> None:
    before = load_config().version

    def change_and_fail() -> None:
        with transaction.atomic():
            bump_version()
            raise OSError("later step")

    with pytest.raises(OSError, match="later step"):
        change_and_fail()

    assert load_config().version == before


def test_a_process_reads_the_configuration_again_only_when_its_version_moved(
    django_assert_num_queries,
) -> None:
    cache = ConfigCache()
    with pytest.raises(StaleConfigError):
        cache.get(0)
    cache.refresh()
    old = cache.get(ConfigVersion.objects.get().version)

    with django_assert_num_queries(0):
        same = cache.get(old.version)
    make_channel(name="new")
    with pytest.raises(StaleConfigError):
        cache.get(ConfigVersion.objects.get().version)
    cache.refresh()
    new = cache.get(ConfigVersion.objects.get().version)

    assert same is old
    assert [route.name for route in new.routes] == ["new"]
    assert cache.get(old.version) is new


def test_an_empty_installation_has_an_empty_configuration() -> None:
    config = load_config()

    assert (config.routes, config.known_models, dict(config.operator_rates)) == ((), frozenset(), {})
    assert config.multiplier("default") == 1


def test_a_channel_whose_key_cannot_be_read_does_not_take_the_others_with_it() -> None:
    broken, healthy = make_channel(name="broken"), make_channel(name="healthy")
    Channel.objects.filter(pk=broken.pk).update(encrypted_key="not encrypted by us")

    routes = load_config().routes

    assert [route.channel_id for route in routes] == [healthy.pk]
