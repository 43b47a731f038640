from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.models import EntryKind, LedgerEntry, UsageRecord
from billing.services.calls import settle
from tests.factories import (
    NOON,
    balance_of,
    make_admin,
    make_channel,
    make_root,
    make_token,
    settlement,
)

HTMX = {"HX-Request": "true"}


@pytest.fixture
def entry(person: User) -> LedgerEntry:
    return LedgerEntry.objects.get(account=person.pk)


@pytest.fixture
def call(person: User) -> UsageRecord:
    settle(settlements=[settlement(make_token(person), make_channel(), quota=400)], at=NOON)
    return UsageRecord.objects.get()


def fields(**more: str) -> dict[str, str]:
    return {"key": str(uuid4()), "memo": "a mistake", **more}


def test_an_entry_shows_itself_and_offers_its_reversal(admin_client: Client, entry: LedgerEntry) -> None:
    page = admin_client.get(reverse("ops:ledger-entry", args=[entry.pk])).text

    assert f"Entry {entry.pk}" in page
    assert reverse("ops:ledger-reverse", args=[entry.pk]) in page


def test_an_entry_is_reversed_once_however_often_the_form_is_sent(
    admin_client: Client, entry: LedgerEntry, person: User
) -> None:
    url, data = reverse("ops:ledger-reverse", args=[entry.pk]), fields()
    looked = admin_client.get(url, headers=HTMX).text

    answers = [admin_client.post(url, data, headers=HTMX).status_code for _ in range(2)]
    another = admin_client.post(url, fields(), headers=HTMX)

    assert "changes by −$0.002" in looked
    assert answers == [204, 204]
    assert another.status_code == 422
    assert "This entry was reversed before" in another.text
    assert balance_of(person) == 0
    listed = admin_client.get("/ops/ledger/").text
    assert f"of {entry.pk}</span>" in listed
    assert "reversed</span>" in listed


def test_what_is_spent_is_shown_and_taken_only_on_purpose(
    admin_client: Client, entry: LedgerEntry, person: User, call: UsageRecord
) -> None:
    url = reverse("ops:ledger-reverse", args=[entry.pk])
    looked = admin_client.get(url).text

    refused = admin_client.post(url, fields())
    done = admin_client.post(url, fields(allow_partial="on"))

    assert "Of $0.002 only −$0.0012 can be taken back; $0.0008 are spent" in looked
    assert refused.status_code == 422
    assert done.status_code == 302
    assert balance_of(person) == 0


def test_an_entry_that_charged_calls_shows_them_with_their_refunds(
    admin_client: Client, person: User, call: UsageRecord
) -> None:
    entry = LedgerEntry.objects.get(kind=EntryKind.USAGE)

    page = admin_client.get(reverse("ops:ledger-entry", args=[entry.pk])).text
    refused = admin_client.get(reverse("ops:ledger-reverse", args=[entry.pk])).text

    assert call.request_id in page
    assert reverse("ops:usage-refund", args=[call.pk]) in page
    assert "Refund the calls, each by itself." in refused
    assert 'name="memo"' not in refused


def test_a_call_is_found_by_its_request_id_with_what_was_refunded(
    admin_client: Client, person: User, call: UsageRecord
) -> None:
    url = reverse("ops:usage-refund", args=[call.pk])

    done = admin_client.post(url, fields(amount="0.0002", unit="usd"))
    found = admin_client.get("/ops/ledger/", {"request": call.request_id}).context["page"].items
    user_page = admin_client.get(reverse("ops:user-detail", args=[person.pk])).text

    assert done.status_code == 302
    assert [(entry.kind, entry.amount) for entry in found] == [("refund", 100), ("usage", -400)]
    assert "$0.0002 refunded" in user_page
    assert balance_of(person) == 700


@pytest.mark.parametrize("amount", ["0", "-1", "1", "99999999999999", "x", ""])
def test_a_refund_of_an_impossible_amount_says_so(
    admin_client: Client, person: User, call: UsageRecord, amount: str
) -> None:
    answer = admin_client.post(reverse("ops:usage-refund", args=[call.pk]), fields(amount=amount, unit="usd"))

    assert answer.status_code == 422
    assert answer.context["form"].errors["amount"]
    assert balance_of(person) == 600


@pytest.mark.parametrize(("direction", "balance"), [("give", 1_250), ("take", 750)])
def test_quota_is_adjusted_up_and_down(
    admin_client: Client, person: User, direction: str, balance: int
) -> None:
    url = reverse("ops:user-adjust", args=[person.pk])

    answer = admin_client.post(url, fields(direction=direction, amount="250", unit="quota"))

    assert answer.status_code == 302
    assert balance_of(person) == balance
    assert LedgerEntry.objects.latest("pk").memo == "a mistake"


def test_no_more_is_taken_than_there_is_and_no_correction_goes_without_a_reason(
    admin_client: Client, person: User
) -> None:
    url = reverse("ops:user-adjust", args=[person.pk])

    too_much = admin_client.post(url, fields(direction="take", amount="1001", unit="quota"))
    silent = admin_client.post(url, fields(direction="give", amount="1", unit="quota", memo=""))

    assert (too_much.status_code, silent.status_code) == (422, 422)
    assert "This would leave less than calls in progress hold" in too_much.text
    assert balance_of(person) == 1_000


def test_an_administrator_corrects_nothing_of_roots_and_nothing_of_another_administrators(
    admin_client: Client,
) -> None:
    channel = make_channel()
    for owner, expected in ((make_root(balance=500), 404), (make_admin(balance=500), 200)):
        settle(settlements=[settlement(make_token(owner), channel, quota=10)], at=NOON)
        call, entry = UsageRecord.objects.latest("pk"), LedgerEntry.objects.filter(account=owner.pk)[0]

        looked = admin_client.get(reverse("ops:ledger-reverse", args=[entry.pk]))
        sent = admin_client.post(reverse("ops:ledger-reverse", args=[entry.pk]), fields())
        refund = admin_client.post(
            reverse("ops:usage-refund", args=[call.pk]), fields(amount="1", unit="quota")
        )

        assert looked.status_code == expected
        assert sent.status_code in (404, 422)
        assert refund.status_code == 404
        assert balance_of(owner) == 490


def test_an_entry_with_many_calls_takes_as_many_queries_as_one_with_few(
    admin_client: Client, person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    token, channel = make_token(person), make_channel()
    settle(settlements=[settlement(token, channel, quota=1) for _ in range(25)], at=NOON)
    entry = LedgerEntry.objects.get(kind=EntryKind.USAGE)

    with django_assert_num_queries(8):
        page = admin_client.get(reverse("ops:ledger-entry", args=[entry.pk])).text

    assert "5 more calls are not shown." in page
