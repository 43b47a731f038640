"""What currencies are worth, day by day."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEvent, User
from billing.models import BalanceSnapshot, ExchangeRate
from billing.queries.rates import RateBook, current_rates, rate_on, used_currencies, versions_of
from billing.services.rates import set_rate
from tests.factories import NOON, make_admin, make_channel

pytestmark = pytest.mark.django_db
TODAY = NOON.date()
DAY = timedelta(days=1)


@pytest.fixture
def admin() -> User:
    return make_admin()


def set_to(actor: User, per_usd: str = "7.1", **fields: Any) -> ExchangeRate:
    said = {"currency": "CNY", "per_usd": Decimal(per_usd), "valid_from": TODAY, "at": NOON}
    return set_rate(actor=actor, **{**said, **fields})


def make_snapshot(currency: str, channel: Any = None) -> BalanceSnapshot:
    return BalanceSnapshot.objects.create(
        channel=channel or make_channel(), kind="balance", currency=currency, created_at=NOON
    )


def test_a_dollar_is_a_dollar_and_of_other_currencies_nothing_is_known_at_first() -> None:
    book = RateBook()

    assert (rate_on("USD", TODAY), rate_on("CNY", TODAY)) == (Decimal(1), None)
    assert (book.rate_on("USD", TODAY), book.rate_on("CNY", TODAY)) == (Decimal(1), None)


def test_a_rate_holds_from_its_day_until_the_next_one(admin: User) -> None:
    set_to(admin, "7.3", valid_from=TODAY + 2 * DAY)
    set_to(admin, "7.1")
    set_to(admin, "0.9", currency="EUR", valid_from=TODAY + DAY)
    days = [TODAY + number * DAY for number in (-1, 0, 1, 2, 30)]

    book = RateBook()

    yuan = [None, Decimal("7.1"), Decimal("7.1"), Decimal("7.3"), Decimal("7.3")]
    euros = [None, None, *[Decimal("0.9")] * 3]
    assert [rate_on("CNY", day) for day in days] == [book.rate_on("CNY", day) for day in days] == yuan
    assert [rate_on("EUR", day) for day in days] == [book.rate_on("EUR", day) for day in days] == euros


def test_of_one_day_the_newest_version_counts_and_the_others_stay(admin: User) -> None:
    for per_usd in ("7.1", "7.5", "7.2"):
        set_to(admin, per_usd)

    assert rate_on("CNY", TODAY) == RateBook().rate_on("CNY", TODAY) == Decimal("7.2")
    assert ExchangeRate.objects.count() == 3


def test_a_book_answers_many_questions_with_one_query(
    admin: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        set_to(admin, f"7.{number}", valid_from=TODAY + number * DAY)

    with django_assert_num_queries(1):
        book = RateBook()
        told = [book.rate_on("CNY", TODAY + number * DAY) for number in range(5)]

    assert told == [Decimal(f"7.{number}") for number in range(5)]


def test_what_holds_already_is_not_written_again(admin: User) -> None:
    first = set_to(admin, "7.1")
    again = set_to(admin, "7.10")
    confirmed = set_to(admin, "7.1", valid_from=TODAY + DAY)

    assert again == first
    assert list(ExchangeRate.objects.order_by("pk")) == [first, confirmed]
    assert AuditEvent.objects.filter(action="exchange_rate.set").count() == 2


def test_who_set_a_rate_is_in_the_audit_log_with_what_it_was_before(admin: User) -> None:
    set_to(admin, "7.1")
    rate = set_to(admin, "7.25", valid_from=TODAY + DAY)

    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor_id, event.subject_name) == ("exchange_rate.set", admin.pk, "CNY")
    assert (event.subject_type, event.subject_id) == ("exchange_rate", rate.pk)
    assert event.changes == {
        "per_usd": {"old": "7.1", "new": "7.25"},
        "valid_from": {"old": "2026-03-02", "new": "2026-03-03"},
    }


def test_for_a_day_that_is_over_it_is_told_what_held_on_that_day(admin: User) -> None:
    set_to(admin, "7.1")
    set_to(admin, "6.9", valid_from=TODAY - DAY)

    changes = AuditEvent.objects.latest("pk").changes
    assert changes["per_usd"] == {"old": None, "new": "6.9"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"currency": "USD"}, "currency"),
        ({"currency": "cny"}, "currency"),
        ({"currency": "CN"}, "currency"),
        ({"currency": "CNYX"}, "currency"),
        ({"currency": "CN1"}, "currency"),
        ({"currency": "CNY\n"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"per_usd": Decimal(0)}, "per_usd"),
        ({"per_usd": Decimal(-7)}, "per_usd"),
        ({"per_usd": Decimal("0.00009999")}, "per_usd"),
        ({"per_usd": Decimal(10_000_000)}, "per_usd"),
        ({"per_usd": Decimal("7.123456789")}, "per_usd"),
        ({"per_usd": Decimal("NaN")}, "per_usd"),
        ({"per_usd": Decimal("Infinity")}, "per_usd"),
        ({"valid_from": date(1999, 12, 31)}, "valid_from"),
        ({"valid_from": TODAY + 367 * DAY}, "valid_from"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused_naming_what_is_wrong(admin: User, fields, name) -> None:
    with pytest.raises(ValidationError) as caught:
        set_to(admin, **{"per_usd": Decimal("7.1"), **fields})

    assert list(caught.value.message_dict) == [name]
    assert not ExchangeRate.objects.exists()


@pytest.mark.parametrize("per_usd", ["0.0001", "9999999.99999999"])
def test_the_smallest_and_the_largest_rate_are_kept_exactly(admin: User, per_usd: str) -> None:
    set_to(admin, per_usd, valid_from=date(2000, 1, 1))

    assert rate_on("CNY", TODAY) == Decimal(per_usd)


@pytest.mark.parametrize("fields", [{"currency": "USD"}, {"per_usd": Decimal(0)}])
def test_the_database_itself_refuses_such_a_rate(fields) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        ExchangeRate.objects.create(
            **{"currency": "CNY", "per_usd": 1, "valid_from": TODAY, "created_at": NOON, **fields}
        )


def test_every_currency_stands_with_its_rate_and_those_that_come_and_the_missing_ones_first(
    admin: User,
) -> None:
    make_snapshot("CNY")
    make_snapshot("EUR")
    set_to(admin, "7.1", valid_from=TODAY - DAY)
    set_to(admin, "7.4", valid_from=TODAY + DAY)
    set_to(admin, "7.3", valid_from=TODAY + DAY)
    set_to(admin, "150", currency="JPY", valid_from=TODAY + DAY)

    rows = current_rates(NOON)

    assert [(row.currency, row.is_used, row.is_missing, row.per_usd) for row in rows] == [
        ("EUR", True, True, ""),
        ("CNY", True, False, "7.1"),
        ("JPY", False, False, ""),
    ]
    assert [[version.text for version in row.coming] for row in rows] == [[], ["7.3"], ["150"]]
    assert rows[1].in_usd == "0.1408"


def test_a_new_day_begins_at_midnight_utc(admin: User) -> None:
    set_to(admin, "7.4", valid_from=TODAY + DAY)
    midnight = NOON + timedelta(hours=12)

    before, after = (current_rates(at)[0].per_usd for at in (midnight - timedelta(seconds=1), midnight))

    assert (before, after) == ("", "7.4")


def test_the_currencies_of_an_account_are_those_that_it_told_last() -> None:
    channel = make_channel()
    for currency in ("EUR", "CNY", "USD", "CNY", "USD"):
        make_snapshot(currency, channel)
    make_snapshot("JPY")

    assert used_currencies() == {"CNY", "JPY"}


def test_the_currencies_are_found_with_one_query_that_reads_no_more_than_a_few_of_each_channel(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(3):
        make_snapshot("CNY")

    with django_assert_num_queries(1) as context:
        used_currencies()

    assert context.captured_queries[0]["sql"].count("LIMIT 1") == 4


def test_the_versions_of_a_currency_stand_with_the_latest_day_first(admin: User) -> None:
    set_to(admin, "7.2", valid_from=TODAY + DAY)
    set_to(admin, "7.1")
    set_to(admin, "7.3", valid_from=TODAY + DAY)

    assert [version.text for version in versions_of("CNY")] == ["7.3", "7.2", "7.1"]
    assert versions_of("EUR") == []
