from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from billing.models import ConfigVersion, GroupPrice, ModelPrice
from tests.factories import make_channel, make_request_price, make_token_price


def sources(client: Client) -> dict[str, str]:
    return {row.name: row.source for row in client.get(reverse("ops:prices")).context["rows"]}


def test_every_model_of_channels_and_operators_is_listed_with_where_its_price_comes_from(
    admin_client: Client,
) -> None:
    make_channel(models=["gpt-4.1", "house", "bare", "alias"], model_mapping={"alias": "gpt-4.1-mini"})
    make_token_price("house")
    make_request_price("drawn")

    assert sources(admin_client) == {
        "gpt-4.1": "catalogue",
        "gpt-4.1-mini": "catalogue",
        "house": "operator",
        "drawn": "operator",
        "bare": "none",
        "alias": "served",
    }


def test_the_page_says_that_calls_for_unpriced_models_are_refused(admin_client: Client) -> None:
    make_channel(models=["bare"])

    content = admin_client.get(reverse("ops:prices")).content.decode()

    assert "1 model has no price: calls for it are refused" in content


def test_a_set_price_holds_from_the_next_call_on(admin_client: Client, admin: object) -> None:
    before = ConfigVersion.objects.get().version
    data = {"model": "house", "input_price": "2.5", "output_price": "10", "max_output_tokens": "4096"}

    admin_client.post(reverse("ops:price-set"), data)

    price = ModelPrice.objects.get()
    assert (price.model, price.input_price, price.output_price) == ("house", Decimal("2.5"), Decimal(10))
    assert (price.created_by, price.max_output_tokens) == (admin, 4096)
    assert ConfigVersion.objects.get().version == before + 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "Give the prices of input and output"),
        ({"input_price": "1"}, "Give both input and output"),
        ({"input_price": "1", "output_price": "1", "request_price": "1"}, "not both"),
        ({"input_price": "-1", "output_price": "1"}, "greater than or equal to 0"),
        ({"input_price": "cheap", "output_price": "1"}, "Enter a number"),
        ({"input_price": "0.0000001", "output_price": "1"}, "no more than 6 decimal places"),
        ({"model": "", "request_price": "1"}, "required"),
    ],
)
def test_a_price_that_makes_no_sense_is_refused_with_the_reason(
    fields: dict[str, str], reason: str, admin_client: Client
) -> None:
    answer = admin_client.post(reverse("ops:price-set"), {"model": "house", **fields})

    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert not ModelPrice.objects.exists()


def test_the_form_starts_with_the_price_in_force(admin_client: Client) -> None:
    make_token_price("gpt-4.1", input="7", output="8")

    mine = admin_client.get(reverse("ops:price-set"), {"model": "gpt-4.1"}).context["form"].initial
    listed = admin_client.get(reverse("ops:price-set"), {"model": "gpt-4.1-mini"}).context["form"].initial

    assert (mine["input_price"], mine["output_price"]) == ("7", "8")
    assert (listed["input_price"], listed["output_price"]) == ("0.4", "1.6")


def test_a_withdrawn_price_gives_way_to_the_catalogue_and_stays_in_the_history(admin_client: Client) -> None:
    make_token_price("gpt-4.1", input="7", output="8")
    make_channel(models=["gpt-4.1"])

    admin_client.post(reverse("ops:price-withdraw"), {"model": "gpt-4.1"})
    admin_client.post(reverse("ops:price-withdraw"), {"model": "gpt-4.1"})

    history = admin_client.get(reverse("ops:price-history"), {"model": "gpt-4.1"})
    assert sources(admin_client) == {"gpt-4.1": "catalogue"}
    assert [version.price.is_withdrawn for version in history.context["versions"]] == [True, False]
    assert "$7.00" in history.content.decode()


def test_a_group_gets_a_multiplier(admin_client: Client) -> None:
    admin_client.post(reverse("ops:group-set"), {"group": "vip", "multiplier": "0.8"})

    content = admin_client.get(reverse("ops:prices")).content.decode()
    assert GroupPrice.objects.get().multiplier == Decimal("0.8")
    assert "×0.8" in content


@pytest.mark.parametrize(("group", "multiplier"), [("vip", "-1"), ("vip", ""), ("Not Good", "1"), ("", "1")])
def test_a_multiplier_that_makes_no_sense_is_refused(
    group: str, multiplier: str, admin_client: Client
) -> None:
    answer = admin_client.post(reverse("ops:group-set"), {"group": group, "multiplier": multiplier})

    assert answer.status_code == 422
    assert not GroupPrice.objects.exists()


def test_the_list_costs_the_same_number_of_queries_however_long(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def open_list() -> None:
        with django_assert_num_queries(7):
            admin_client.get(reverse("ops:prices"))

    make_channel(models=["m"])
    open_list()
    for number in range(5):
        make_channel(models=[f"m{number}"])
        make_token_price(f"m{number}")
    open_list()


def test_a_model_served_under_its_own_name_too_shows_its_own_price(admin_client: Client) -> None:
    make_channel(models=["gpt-4.1"], model_mapping={"gpt-4.1": "gpt-4.1-mini"})
    mapped = sources(admin_client)["gpt-4.1"]

    make_channel(models=["gpt-4.1"])

    assert (mapped, sources(admin_client)["gpt-4.1"]) == ("served", "catalogue")
