from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from billing.models import Channel, ConfigVersion
from tests.factories import make_channel, make_snapshot, make_token_price

ENTERED = {
    "name": "OpenAI",
    "base_url": "https://api.example.com/v1/",
    "key": "sk-secret-upstream-7777",
    "models": "gpt-4.1\ngpt-4.1-mini\n\ngpt-4.1\nhouse-model",
    "mapping": "house-model = gpt-4.1",
    "groups": "default, vip",
    "priority": "3",
    "weight": "2",
    "cost_multiplier": "0.8",
}


def entered(**fields: Any) -> dict[str, Any]:
    return {**ENTERED, **fields}


def test_a_connected_channel_has_what_was_entered_without_a_final_v1(admin_client: Client) -> None:
    admin_client.post(reverse("ops:channel-create"), entered())

    channel = Channel.objects.get()
    assert channel.base_url == "https://api.example.com"
    assert channel.models == ["gpt-4.1", "gpt-4.1-mini", "house-model"]
    assert channel.model_mapping == {"house-model": "gpt-4.1"}
    assert (channel.groups, channel.priority, channel.weight) == (["default", "vip"], 3, 2)
    assert channel.get_key() == "sk-secret-upstream-7777"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"key": ""}, "required"),
        ({"key": "two words"}, "A key has no spaces"),
        ({"base_url": "ftp://files.example.com"}, "Enter an address such as"),
        ({"base_url": "not an address"}, "Enter an address such as"),
        ({"models": " \n "}, "required"),
        ({"models": "a model"}, "has a space in it"),
        ({"models": "m" * 129}, "longer than 128"),
        ({"mapping": "house-model"}, "not of the form asked=served"),
        ({"mapping": "unknown=gpt-4.1"}, "is not among the models above"),
        ({"groups": "Not Good"}, "small letters"),
        ({"weight": "-1"}, "greater than or equal to 0"),
        ({"cost_multiplier": "-1"}, "greater than or equal to 0"),
    ],
)
def test_a_channel_that_makes_no_sense_is_refused_with_the_reason(
    fields: dict[str, str], reason: str, admin_client: Client
) -> None:
    answer = admin_client.post(reverse("ops:channel-create"), entered(**fields))

    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert not Channel.objects.exists()


def test_a_key_is_never_shown_again(admin_client: Client) -> None:
    channel = make_channel(key="sk-secret-upstream-7777")

    pages = [
        admin_client.get(reverse("ops:channels")),
        admin_client.get(reverse("ops:channel-edit", args=[channel.pk])),
        admin_client.post(reverse("ops:channel-edit", args=[channel.pk]), entered(name="")),
    ]

    assert all("sk-secret" not in page.content.decode() for page in pages)
    assert all("…7777" in page.content.decode() for page in pages)


def test_an_edit_without_a_key_keeps_the_one_there_is(admin_client: Client) -> None:
    channel = make_channel(base_url="https://api.example.com")

    admin_client.post(reverse("ops:channel-edit", args=[channel.pk]), entered(key="", name="renamed"))

    channel.refresh_from_db()
    assert (channel.name, channel.get_key()) == ("renamed", "sk-upstream-secret-0001")


def test_a_stored_key_is_not_sent_to_another_address(admin_client: Client) -> None:
    channel = make_channel(base_url="https://api.example.com")
    moved = entered(key="", base_url="https://elsewhere.example.com", channel=channel.pk)

    edited = admin_client.post(reverse("ops:channel-edit", args=[channel.pk]), moved)
    listed = admin_client.post(reverse("ops:channel-models"), moved)

    assert (edited.status_code, listed.status_code) == (422, 422)
    assert "Enter the key again" in edited.content.decode()
    assert "Enter the key again" in listed.content.decode()


def test_an_edit_touches_neither_the_status_nor_the_last_test(admin_client: Client) -> None:
    channel = make_channel(base_url="https://api.example.com")
    Channel.objects.filter(pk=channel.pk).update(status="auto_disabled", test_ms=7)

    admin_client.post(reverse("ops:channel-edit", args=[channel.pk]), entered(key=""))

    channel.refresh_from_db()
    assert (channel.status, channel.test_ms) == ("auto_disabled", 7)


def test_disabling_and_enabling_take_effect_with_the_next_call(admin_client: Client) -> None:
    channel, before = make_channel(), ConfigVersion.objects.get().version
    url = reverse("ops:channel-status", args=[channel.pk])

    admin_client.post(url, {"is_enabled": "0"})
    channel.refresh_from_db()
    disabled = channel.status
    admin_client.post(url, {"is_enabled": "1"})

    channel.refresh_from_db()
    assert (disabled, channel.status) == ("manually_disabled", "enabled")
    assert ConfigVersion.objects.get().version == before + 2


def test_a_deleted_channel_is_gone(admin_client: Client) -> None:
    channel = make_channel()

    admin_client.post(reverse("ops:channel-delete", args=[channel.pk]))

    assert not Channel.objects.exists()
    assert admin_client.get(reverse("ops:channel-edit", args=[channel.pk])).status_code == 404


def test_models_without_a_price_are_named_with_a_way_to_price_them(admin_client: Client) -> None:
    make_channel(models=["priced", "mapped", "bare"], model_mapping={"mapped": "priced"})
    make_token_price("priced")

    content = admin_client.get(reverse("ops:channels")).content.decode()

    assert f"{reverse('ops:price-set')}?model=bare" in content
    assert "?model=mapped" not in content
    assert "?model=priced" not in content


def test_an_unknown_balance_is_not_shown_as_zero(admin_client: Client) -> None:
    make_channel()

    content = admin_client.get(reverse("ops:channels")).content.decode()

    assert "Unknown" in content


def test_the_list_costs_the_same_number_of_queries_however_long(
    admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def open_list() -> None:
        with django_assert_num_queries(9):
            admin_client.get(reverse("ops:channels"))

    def make_one() -> None:
        make_snapshot(channel=make_channel(), kind="balance", remaining=1, created_at=timezone.now())

    make_one()
    open_list()
    for _ in range(8):
        make_one()
    open_list()


def test_a_test_from_the_list_swaps_the_row_and_says_what_went_wrong(admin_client: Client) -> None:
    channel = make_channel(base_url="http://127.0.0.1:1")
    htmx = {"HX-Request": "true", "HX-Current-URL": "http://testserver/ops/channels/"}

    answer = admin_client.post(reverse("ops:channel-test", args=[channel.pk]), headers=htmx)

    assert f'<tr id="channel-{channel.pk}" hx-swap-oob="true">' in answer.content.decode()
    assert "connection was refused" in answer.headers["HX-Trigger"]


def test_a_test_of_a_model_that_the_channel_has_not_is_refused(admin_client: Client) -> None:
    channel = make_channel()

    answer = admin_client.post(reverse("ops:channel-test", args=[channel.pk]), {"model": "another"})

    assert answer.status_code == 422


def test_a_balance_that_is_not_told_is_reported_as_such(admin_client: Client) -> None:
    channel = make_channel(base_url="http://127.0.0.1:1")

    answer = admin_client.post(reverse("ops:channel-refresh-balance", args=[channel.pk]), follow=True)

    assert (
        "could not be read; what was known before stays. The connection was refused"
        in answer.content.decode()
    )


# --- Where the balance is read from ------------------------------------------------------------


def balance_fields(client: Client, **data: str) -> str:
    return client.post(reverse("ops:channel-balance-fields"), data).content.decode()


def test_the_fields_of_a_source_of_balances_come_with_it(admin_client: Client) -> None:
    guessed = balance_fields(admin_client, base_url="https://api.openai.com/v1")
    chosen = balance_fields(admin_client, base_url="https://api.openai.com", balance_source="manual")

    half_typed = balance_fields(admin_client, base_url="http://[abc")
    mangled = [balance_fields(admin_client, channel=pk) for pk in ("9" * 5000, "٣", "-1", "one")]

    assert "By the base URL: OpenAI" in guessed
    assert "By the base URL" in half_typed
    assert all("By the base URL" in text for text in mangled)
    assert 'name="access_admin_key"' in guessed
    assert "access_admin_key" not in chosen
    assert "enter what its console says" in chosen


def test_credentials_for_the_balance_are_kept_hinted_at_and_never_shown(admin_client: Client) -> None:
    secret = "sk-admin-0123456789"
    data = {**ENTERED, "base_url": "https://api.openai.com", "balance_source": "openai_costs"}

    without = admin_client.post(reverse("ops:channel-create"), data)
    made = admin_client.post(reverse("ops:channel-create"), {**data, "access_admin_key": secret})
    channel = Channel.objects.get()
    form = admin_client.get(reverse("ops:channel-edit", args=[channel.pk])).content.decode()
    kept = admin_client.post(reverse("ops:channel-edit", args=[channel.pk]), {**data, "key": ""})

    assert (without.status_code, made.status_code, kept.status_code) == (422, 302, 302)
    assert "Enter this first: Admin key" in without.content.decode()
    assert "Leave it empty to keep …6789." in form
    assert secret not in form
    channel.refresh_from_db()
    assert channel.get_balance_access() == {"admin_key": secret}


def test_credentials_do_not_go_to_another_host_with_a_new_address(admin_client: Client) -> None:
    data = {**ENTERED, "base_url": "https://relay.example.com", "balance_source": "one_api_account"}
    admin_client.post(reverse("ops:channel-create"), {**data, "access_access_token": "secret-of-the-account"})
    channel = Channel.objects.get()
    elsewhere = {**data, "base_url": "https://elsewhere.example.com"}

    answer = admin_client.post(reverse("ops:channel-edit", args=[channel.pk]), elsewhere)

    assert answer.status_code == 422
    assert "Enter this first: System access token" in answer.content.decode()
    channel.refresh_from_db()
    assert channel.base_url == "https://relay.example.com"
