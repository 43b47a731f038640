"""The price book's versions."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from billing.models import ConfigVersion, GroupPrice, ModelPrice
from billing.pricing import TokenCounts, call_quota
from billing.services import prices
from billing.services.config import current_group_prices, current_model_prices, load_config
from tests.factories import NOON, make_request_price, make_root, make_token_price

pytestmark = pytest.mark.django_db(transaction=True)
ONE, TWO = Decimal(1), Decimal(2)


def set_price(**fields) -> ModelPrice:
    return prices.set_model_price(actor=None, at=NOON, **{"model": "a-model", **fields})


def test_a_new_price_is_a_new_version_and_the_old_one_stays() -> None:
    root = make_root()
    prices.set_model_price(actor=None, model="a-model", input_price=ONE, output_price=TWO, at=NOON)

    later = NOON + timedelta(days=1)
    prices.set_model_price(actor=root, model="a-model", request_price=TWO, max_output_tokens=9, at=later)

    old, new = ModelPrice.objects.order_by("pk")
    assert (old.input_price, old.output_price, old.request_price, old.created_at) == (ONE, TWO, None, NOON)
    assert (new.input_price, new.request_price, new.created_by_id, new.created_at) == (
        None,
        TWO,
        root.pk,
        later,
    )
    assert list(current_model_prices()) == [new]


def test_the_newest_version_of_each_model_is_the_price_that_is_charged() -> None:
    make_token_price("a-model", input="1", output="1")
    make_token_price("b-model", input="5", output="5")
    make_token_price("a-model", input="3", output="3")

    config = load_config()

    counts = TokenCounts(prompt=1_000_000, completion=0)
    costs = [call_quota(config.operator_rates[name], counts, ONE) for name in ("a-model", "b-model")]
    assert costs == [1_500_000, 2_500_000]
    newest = ModelPrice.objects.latest("pk")
    assert config.operator_rates["a-model"].version == f"operator:{newest.pk}"


def test_a_withdrawn_price_leaves_the_catalogue_or_nothing_and_keeps_its_history() -> None:
    root = make_root()
    for model in ("gpt-4o", "a-model"):
        make_request_price(model)

    for model in ("gpt-4o", "a-model"):
        prices.withdraw_model_price(actor=root, model=model, at=NOON)

    config = load_config()
    rate = config.rate(model="gpt-4o", served_model="gpt-4o", at=NOON)
    assert rate is not None
    assert rate.version.startswith("catalogue:")
    assert config.rate(model="a-model", served_model="a-model", at=NOON) is None
    assert ModelPrice.objects.filter(model="a-model").count() == 2


def test_a_price_set_after_a_withdrawal_counts_again() -> None:
    make_request_price("a-model")
    prices.withdraw_model_price(actor=make_root(), model="a-model", at=NOON)

    make_request_price("a-model", usd="0.5")

    assert load_config().operator_rates["a-model"].request == 500_000_000


def test_cached_input_costs_what_input_costs_unless_it_has_a_price() -> None:
    make_token_price("plain", input="4", output="8")
    make_token_price("cached", input="4", output="8", cached_input_price=ONE)
    make_token_price("free cache", input="4", output="8", cached_input_price=Decimal(0))

    rates = load_config().operator_rates

    cached = [rates[name].tiers[0].cached_input // 10**9 for name in ("plain", "cached", "free cache")]
    assert cached == [4, 1, 0]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input_price": ONE},
        {"output_price": ONE},
        {"cached_input_price": ONE},
        {"input_price": ONE, "cached_input_price": ONE},
        {"request_price": ONE, "input_price": ONE},
        {"request_price": ONE, "output_price": ONE},
        {"request_price": ONE, "input_price": ONE, "output_price": ONE},
        {"request_price": Decimal(-1)},
        {"input_price": Decimal(-1), "output_price": ONE},
        {"input_price": ONE, "output_price": Decimal("-0.000001")},
        {"input_price": ONE, "output_price": ONE, "cached_input_price": Decimal(-1)},
        {"input_price": ONE, "output_price": ONE, "max_output_tokens": -1},
        {"input_price": Decimal("0.0000001"), "output_price": ONE},
        {"input_price": Decimal("NaN"), "output_price": ONE},
        {"input_price": Decimal("Infinity"), "output_price": ONE},
        {"input_price": Decimal(10_000_000), "output_price": ONE},
        {"input_price": ONE, "output_price": ONE, "model": ""},
        {"input_price": ONE, "output_price": ONE, "model": "m" * 129},
    ],
)
def test_a_price_that_is_none_both_negative_or_too_fine_is_refused(fields) -> None:
    before = ConfigVersion.objects.get().version

    with pytest.raises(ValidationError):
        set_price(**fields)

    assert not ModelPrice.objects.exists()
    assert ConfigVersion.objects.get().version == before


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"input_price": ONE},
        {"request_price": ONE, "output_price": ONE},
        {"request_price": Decimal(-1)},
        {"input_price": ONE, "output_price": ONE, "cached_input_price": Decimal(-1)},
    ],
)
def test_the_database_itself_refuses_such_a_price(fields) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelPrice.objects.create(model="a-model", created_at=NOON, **fields)


@pytest.mark.parametrize(
    "fields",
    [{"request_price": Decimal(0)}, {"input_price": Decimal(0), "output_price": Decimal(0)}],
)
def test_a_price_of_0_is_free_and_not_missing(fields) -> None:
    set_price(**fields)

    assert load_config().operator_rates["a-model"].is_free


def test_the_newest_multiplier_of_a_group_counts_and_the_old_ones_stay() -> None:
    root = make_root()
    for multiplier in ("0.5", "0.8"):
        prices.set_group_multiplier(actor=root, group="vip", multiplier=Decimal(multiplier), at=NOON)
    prices.set_group_multiplier(actor=None, group="guests", multiplier=TWO, at=NOON)

    config = load_config()

    assert [config.multiplier(group) for group in ("vip", "guests", "default")] == [Decimal("0.8"), TWO, ONE]
    assert [price.group for price in current_group_prices()] == ["guests", "vip"]
    assert GroupPrice.objects.filter(group="vip").count() == 2


@pytest.mark.parametrize(
    ("group", "multiplier"),
    [
        ("vip", "-0.000001"),
        ("vip", "NaN"),
        ("vip", "Infinity"),
        ("vip", "0.0000001"),
        ("VIP", "1"),
        ("", "1"),
        ("a b", "1"),
        ("g" * 33, "1"),
        ("vip\n", "1"),
    ],
)
def test_a_group_or_a_multiplier_that_is_not_valid_is_refused(group: str, multiplier: str) -> None:
    with pytest.raises(ValidationError):
        prices.set_group_multiplier(actor=None, group=group, multiplier=Decimal(multiplier), at=NOON)

    assert not GroupPrice.objects.exists()


def test_every_change_of_a_price_moves_the_configurations_version() -> None:
    root = make_root()
    versions = [load_config().version]

    for change in (
        lambda: set_price(request_price=ONE),
        lambda: prices.withdraw_model_price(actor=root, model="a-model", at=NOON),
        lambda: prices.set_group_multiplier(actor=root, group="vip", multiplier=TWO, at=NOON),
    ):
        change()
        versions.append(load_config().version)

    assert versions == [versions[0] + step for step in range(4)]
