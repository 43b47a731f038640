from datetime import UTC, date, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.models import BalanceSnapshot, ExchangeRate
from billing.services.rates import set_rate
from tests.factories import NOON, make_channel

URL = "/ops/reconciliation/rates/"


def make_rate(actor: User, per_usd: str = "7.1", *, currency: str = "CNY", days: int = 0) -> ExchangeRate:
    day = timezone.now().astimezone(UTC).date() + timedelta(days=days)
    return set_rate(
        actor=actor, currency=currency, per_usd=Decimal(per_usd), valid_from=day, at=timezone.now()
    )


def make_snapshot(currency: str) -> None:
    BalanceSnapshot.objects.create(channel=make_channel(), kind="balance", currency=currency, created_at=NOON)


def entered(**fields: str) -> dict[str, str]:
    return {"currency": "CNY", "per_usd": "7.1", "valid_from": "2026-03-02", **fields}


def test_without_rates_the_page_says_what_they_are_for(admin_client: Client) -> None:
    text = admin_client.get(URL).content.decode()

    assert reverse("ops:rates") == URL
    assert "All channels are billed in US dollars." in text
    assert "no rate" not in text


def test_currencies_that_providers_take_and_nobody_has_valued_are_pointed_out(
    admin_client: Client, admin: User
) -> None:
    for currency in ("CNY", "EUR", "USD"):
        make_snapshot(currency)
    make_rate(admin, "0.9", currency="EUR")

    answer = admin_client.get(URL)

    assert answer.context["missing"] == ["CNY"]
    text = answer.content.decode()
    assert "1 currency has no rate" in text
    assert f"{reverse('ops:rate-set')}?currency=CNY" in text


def test_the_page_shows_what_holds_and_what_will(admin_client: Client, admin: User) -> None:
    make_rate(admin, "7.1", days=-10)
    make_rate(admin, "7.25", days=3)

    text = admin_client.get(URL).content.decode()

    assert '<span class="num">7.1</span>' in text
    assert "$0.1408" in text
    assert "7.25 from " in text


def test_a_rate_is_set_by_who_is_signed_in(admin_client: Client, admin: User) -> None:
    answer = admin_client.post(reverse("ops:rate-set"), entered(currency="cny"), follow=True)

    rate = ExchangeRate.objects.get()
    assert (rate.currency, rate.per_usd, rate.valid_from) == ("CNY", Decimal("7.1"), date(2026, 3, 2))
    assert rate.created_by == admin
    assert "The rate of CNY holds from 2026-03-02 on." in answer.content.decode()


def test_in_the_panel_the_list_is_told_to_draw_itself_again(admin_client: Client) -> None:
    answer = admin_client.post(reverse("ops:rate-set"), entered(), headers={"HX-Request": "true"})

    assert answer.status_code == 204
    assert "list-changed" in answer.headers["HX-Trigger"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"currency": "USD"}, "One US dollar is always one US dollar."),
        ({"currency": "C1"}, "Enter a currency by its three letters"),
        ({"currency": ""}, "required"),
        ({"per_usd": "0"}, "Enter a number from 0.0001 to less than 10,000,000."),
        ({"per_usd": "seven"}, "Enter a number"),
        ({"per_usd": "7.123456789"}, "no more than 8 decimal places"),
        ({"valid_from": "1999-12-31"}, "Enter a day from 2000-01-01 to "),
        ({"valid_from": "2026-02-30"}, "Enter a valid date"),
        ({"valid_from": ""}, "required"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused_with_the_reason_beside_the_field(
    admin_client: Client, fields: dict[str, str], reason: str
) -> None:
    answer = admin_client.post(reverse("ops:rate-set"), entered(**fields))

    [name] = fields
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [name]
    assert reason in answer.content.decode()
    assert not ExchangeRate.objects.exists()


def test_the_form_starts_with_the_currency_that_was_chosen_and_today(admin_client: Client) -> None:
    initial = admin_client.get(reverse("ops:rate-set"), {"currency": "CNY"}).context["form"].initial

    assert initial == {"currency": "CNY", "valid_from": timezone.now().astimezone(UTC).date()}


def test_the_history_marks_the_version_in_force(admin_client: Client, admin: User) -> None:
    make_rate(admin, "7.0", days=-10)
    held = make_rate(admin, "7.1", days=-2)
    make_rate(admin, "7.2", days=5)

    answer = admin_client.get(reverse("ops:rate-history"), {"currency": "CNY"})

    assert [version.text for version in answer.context["versions"]] == ["7.2", "7.1", "7"]
    assert answer.context["current"] == held
    assert answer.content.decode().count("in force") == 1


def test_a_currency_without_versions_has_an_empty_history(admin_client: Client) -> None:
    text = admin_client.get(reverse("ops:rate-history"), {"currency": "XYZ"}).content.decode()

    assert "No rate was ever set" in text


def test_administrators_are_not_told_who_root_is(admin_client: Client, root: User) -> None:
    make_rate(root)

    pages = [URL, f"{reverse('ops:rate-history')}?currency=CNY"]

    assert not any(root.username in admin_client.get(page).content.decode() for page in pages)


def test_the_list_costs_the_same_number_of_queries_however_long(
    admin_client: Client, admin: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def open_list() -> None:
        with django_assert_num_queries(4):
            admin_client.get(URL)

    make_rate(admin)
    open_list()
    for currency in ("EUR", "JPY", "GBP"):
        make_rate(admin, currency=currency)
        make_rate(admin, days=4, currency=currency)
        make_snapshot(currency)
    open_list()
