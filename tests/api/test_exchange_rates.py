"""Exchange rates, for programs."""

import re
from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from billing.models import ExchangeRate
from billing.services.rates import set_rate
from oneapi_admin.api import api
from tests.api.conftest import queries_of
from tests.factories import NOON, make_admin, make_user

pytestmark = pytest.mark.django_db

PATH = "/exchange-rates"
RATE = {"currency": "CNY", "per_usd": "7.10", "valid_from": "2026-03-02"}


def make_rates(count: int, currency: str = "CNY") -> None:
    actor = make_admin()
    for number in range(count):
        set_rate(
            actor=actor,
            currency=currency,
            per_usd=Decimal(number + 1),
            valid_from=NOON.date(),
            at=NOON,
        )


def test_a_rate_is_set_from_a_day_on(program) -> None:
    admin = make_admin()

    made = program(admin, "channels").post(PATH, RATE)

    rate = ExchangeRate.objects.get()
    assert made.status == 201
    assert made.body == {
        "id": rate.pk,
        "currency": "CNY",
        "per_usd": "7.1",
        "valid_from": "2026-03-02",
        "created_at": made.body["created_at"],
    }
    assert (rate.per_usd, rate.valid_from, rate.created_by) == (Decimal("7.1"), NOON.date(), admin)


def test_without_a_day_it_holds_from_today_on(program) -> None:
    made = program(make_admin()).post(PATH, {"currency": "EUR", "per_usd": "0.92"})

    assert made.body["valid_from"] == timezone.now().astimezone(UTC).date().isoformat()


def test_a_request_sent_again_sets_no_second_rate(program) -> None:
    asks = program(make_admin())

    first, again = (asks.post(PATH, RATE, Idempotency_Key="1") for _ in range(2))

    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert ExchangeRate.objects.count() == 1


def test_what_holds_already_is_given_back_as_it_is(program) -> None:
    asks = program(make_admin())

    first, again = (asks.post(PATH, RATE) for _ in range(2))

    assert (again.status, again.body) == (201, first.body)
    assert ExchangeRate.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"currency": "USD"}, "body.currency"),
        ({"currency": "cny"}, "body.currency"),
        ({"currency": "CNYX"}, "body.currency"),
        ({"currency": "CNY\n"}, "body.currency"),
        ({"currency": None}, "body.currency"),
        ({"per_usd": "0"}, "body.per_usd"),
        ({"per_usd": "0.0000"}, "body.per_usd"),
        ({"per_usd": "0.00009999"}, "body.per_usd"),
        ({"per_usd": "-7"}, "body.per_usd"),
        ({"per_usd": "10000000"}, "body.per_usd"),
        ({"per_usd": "7.123456789"}, "body.per_usd"),
        ({"per_usd": "1e1"}, "body.per_usd"),
        ({"per_usd": "NaN"}, "body.per_usd"),
        ({"per_usd": 7.1}, "body.per_usd"),
        ({"valid_from": "2026-02-30"}, "body.valid_from"),
        ({"valid_from": "1999-12-31"}, "body.valid_from"),
        ({"valid_from": "2999-01-01"}, "body.valid_from"),
        ({"valid_from": 1_772_409_600}, "body.valid_from"),
        ({"valid_from": "1772409600"}, "body.valid_from"),
        ({"valid_from": "2026-03-02T00:00:00Z"}, "body.valid_from"),
        ({"valid_from": "2026-03-02\n"}, "body.valid_from"),
        ({"surprise": 1}, "body.surprise"),
    ],
)
def test_a_rate_with_a_wrong_field_is_refused_naming_it(program, wrong, field) -> None:
    answer = program(make_admin()).post(PATH, {**RATE, **wrong})

    assert (answer.status, answer.wrong_fields) == (422, [field])
    assert not ExchangeRate.objects.exists()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("currency", "USD"),
        *[("per_usd", text) for text in ("0.00009999", "0.000012345", "10000000", "7.123456789", "0")],
        *[("per_usd", text) for text in ("0.123456789", "0.001234567")],
    ],
)
def test_what_would_be_refused_is_forbidden_by_the_document_already(name, wrong) -> None:
    fields = api.get_openapi_schema()["components"]["schemas"]["ExchangeRateIn"]["properties"]

    assert not re.search(fields[name]["pattern"], wrong)


@pytest.mark.parametrize("per_usd", ["0.0001", "0.01234567", "0.92", "1", "10", "9999999.99999999"])
def test_what_the_document_allows_is_taken_exactly(program, per_usd) -> None:
    made = program(make_admin()).post(PATH, {**RATE, "per_usd": per_usd})

    assert (made.status, made.body["per_usd"]) == (201, per_usd)


@pytest.mark.parametrize("currency", ["UAH", "USN", "USS", "UZS", "AUD"])
def test_currencies_that_are_nearly_dollars_are_taken(program, currency) -> None:
    assert program(make_admin()).post(PATH, {**RATE, "currency": currency}).status == 201


def test_all_versions_are_listed_newest_first_in_pages(program) -> None:
    make_rates(5)
    asks = program(make_admin(), "read")

    first = asks.get(f"{PATH}?limit=3")
    rest = asks.get(f"{PATH}?limit=3&cursor={first.body['next_cursor']}")

    told = [[rate["per_usd"] for rate in answer.body["items"]] for answer in (first, rest)]
    assert told == [["5", "4", "3"], ["2", "1"]]
    assert rest.body["next_cursor"] is None


def test_one_currency_is_listed_alone(program) -> None:
    make_rates(2)
    make_rates(1, currency="EUR")
    asks = program(make_admin())

    euros, nothing = (asks.get(f"{PATH}?currency={currency}").body["items"] for currency in ("EUR", "USD"))

    assert [rate["currency"] for rate in euros] == ["EUR"]
    assert nothing == []
    assert asks.get(f"{PATH}?currency=eur").status == 422


def test_a_list_costs_the_same_number_of_queries_however_long(program) -> None:
    asks = program(make_admin())
    make_rates(1)
    short = queries_of(asks, PATH)
    make_rates(10, currency="EUR")

    assert queries_of(asks, PATH) == short


def test_only_operators_with_the_scope_read_and_set_rates(program) -> None:
    admin = make_admin()
    user, reader, other = program(make_user()), program(admin, "read"), program(admin, "topup")

    statuses = [asks.post(PATH, RATE).status for asks in (user, reader, other)]

    assert statuses == [403, 403, 403]
    assert [asks.get(PATH).status for asks in (user, reader, other)] == [403, 200, 403]


def test_a_rate_can_be_set_up_to_a_year_ahead(program) -> None:
    today = timezone.now().astimezone(UTC).date()
    asks = program(make_admin())

    statuses = [
        asks.post(PATH, {**RATE, "valid_from": str(today + timedelta(days=days))}).status
        for days in (366, 368)
    ]

    assert statuses == [201, 422]
