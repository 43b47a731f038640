import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.models import EntryKind, QuotaAccount, UsageRecord
from billing.services.accounts import top_up
from billing.services.calls import settle
from billing.services.refunds import refund
from billing.services.reversals import reverse
from redemption.services.redeeming import redeem
from tests.factories import (
    NOON,
    account_of,
    make_channel,
    make_code,
    make_root,
    make_token,
    make_user,
    settlement,
)

URL = "/statement/"


def _spend(user: User, *quotas: int, models: tuple[str, ...] = ("test-model",), **fields: Any) -> None:
    token, channel = make_token(user), make_channel()
    calls = [
        settlement(token, channel, quota=quota, model=models[index % len(models)], **fields)
        for index, quota in enumerate(quotas)
    ]
    settle(settlements=calls, at=fields.get("created_at", NOON))


def _lines(response: HttpResponse) -> list[tuple[str, str, int]]:
    return [(line.text, line.note, line.entry.amount) for line in response.context["lines"]]


def test_movements_stand_in_words_with_their_amounts(console: Client, ann: User) -> None:
    root = make_root()
    top_up(actor=root, user=ann, quota=1_000, memo="for March", at=NOON)
    code = make_code(quota=500)
    redeem(code=code, user=ann, at=NOON)
    _spend(ann, 10, 20)
    _spend(ann, 5, 6, models=("a", "b"))

    lines = _lines(console.get(URL))

    assert lines == [
        ("Usage, 2 calls", "several models", -11),
        ("Usage, 2 calls", "test-model", -30),
        (f"Redeemed code …{code[15:19]}", "", 500),
        ("Topped up by an operator", "for March", 1_000),
        ("Topped up by an operator", "", 5_000_000),
    ]


def test_usage_leads_to_its_calls(console: Client, ann: User) -> None:
    _spend(ann, 10)

    response = console.get(URL)

    assert f'href="/usage/?entry={response.context["lines"][0].entry.pk}"' in response.text


def test_only_ones_own_movements_are_listed(console: Client, ann: User) -> None:
    make_user(balance=123)

    assert [amount for _text, _note, amount in _lines(console.get(URL))] == [5_000_000]


def test_the_statement_proves_that_all_movements_add_up(console: Client, ann: User) -> None:
    _spend(ann, 500_000)

    assert "All 2 movements add up to your balance of $9.00." in console.get(URL).text


def test_the_statement_does_not_hide_a_balance_that_does_not_add_up(console: Client, ann: User) -> None:
    QuotaAccount.objects.filter(user=ann).update(balance=1)

    response = console.get(URL)

    assert not response.context["balances"].adds_up
    assert "do not add up" in response.text
    assert "They come to $10.00, and your balance is $0.000002." in response.text


def test_opening_in_out_and_closing_belong_together(console: Client, ann: User) -> None:
    tomorrow = NOON + timedelta(days=1)
    _spend(ann, 100)
    top_up(actor=make_root(), user=ann, quota=40, at=tomorrow)
    _spend(ann, 7, created_at=tomorrow)
    _spend(ann, 1, created_at=tomorrow + timedelta(days=1))

    balances = console.get(URL, {"since": "2026-03-03", "until": "2026-03-03"}).context["balances"]

    shown = (balances.opening, balances.paid_in, balances.paid_out, balances.closing, balances.shown)
    assert shown == (4_999_900, 40, -7, 4_999_933, 2)
    assert balances.balance == 4_999_932


def test_the_days_before_and_after_all_others_are_days_too(console: Client, ann: User) -> None:
    balances = console.get(URL, {"since": "0001-01-01", "until": "9999-12-31"}).context["balances"]

    assert (balances.opening, balances.closing) == (0, 5_000_000)


def test_a_day_without_movements_opens_and_closes_alike(console: Client, ann: User) -> None:
    balances = console.get(URL, {"since": "2027-01-01"}).context["balances"]

    assert (balances.opening, balances.closing, balances.shown) == (5_000_000, 5_000_000, 0)


def test_one_kind_can_be_chosen(console: Client, ann: User) -> None:
    _spend(ann, 10)

    response = console.get(URL, {"kind": EntryKind.USAGE})

    assert [amount for _text, _note, amount in _lines(response)] == [-10]
    assert "Opening balance" not in response.text


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"since": "2026-03-02", "until": "2026-03-01"}, "The last day is before the first."),
        ({"kind": "odd"}, "Select a valid choice."),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_with_the_reason(
    console: Client, query: dict[str, str], reason: str
) -> None:
    response = console.get(URL, query)

    assert response.status_code == 422
    assert reason in response.text


def test_a_person_without_an_account_has_an_empty_statement(
    console: Client, ann: User, client: Client
) -> None:
    newcomer = make_user()
    account_of(newcomer).delete()
    client.force_login(newcomer)

    response = client.get(URL)

    assert response.status_code == 200
    assert "No movements yet" in response.text


def test_pages_go_on_without_gap_or_repeat(console: Client, ann: User) -> None:
    root = make_root()
    for number in range(1, 55):
        top_up(actor=root, user=ann, quota=number, at=timezone.now())

    first = console.get(URL)
    second = console.get(URL, {"cursor": first.context["next_cursor"]})

    amounts = [line[2] for line in _lines(first) + _lines(second)]
    assert amounts == [*range(54, 0, -1), 5_000_000]


def test_the_list_takes_few_queries_for_a_full_page(
    console: Client, ann: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(52):
        _spend(ann, 1)

    with django_assert_max_num_queries(5):
        console.get(URL)


def test_the_file_has_the_chosen_movements_and_harmless_text(console: Client, ann: User) -> None:
    top_up(actor=make_root(), user=ann, quota=250_000, memo="@SUM(A1)", at=NOON + timedelta(days=1))
    _spend(ann, 10)

    response = console.get("/statement/export/", {"kind": "top_up", "since": "2026-03-03"})

    header, *rows = csv.reader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig")))
    [found] = [dict(zip(header, row, strict=True)) for row in rows]
    assert (found["kind"], found["quota"], found["usd"], found["note"]) == (
        "top_up",
        "250000",
        "0.500000",
        "'@SUM(A1)",
    )


def test_amounts_in_the_file_stay_numbers_when_they_are_negative(console: Client, ann: User) -> None:
    _spend(ann, 500_000)

    response = console.get("/statement/export/", {"kind": "usage"})

    assert ",-500000,-1.000000," in b"".join(response.streaming_content).decode()


def test_a_reversal_says_what_it_took_back_and_the_entry_that_it_is_gone(console: Client, ann: User) -> None:
    entry = top_up(actor=make_root(), user=ann, quota=1_000, memo="for March", at=NOON)
    reverse(actor=make_root(), entry=entry, memo="it was for bo", at=NOON)

    response = console.get(URL)

    assert _lines(response)[0] == (
        f"Reversed: Topped up by an operator, +$0.002 (no. {entry.pk})",
        "it was for bo",
        -1_000,
    )
    assert [line.entry.reversal_id is not None for line in response.context["lines"]] == [False, True, False]
    assert 'class="badge">reversed</span>' in response.text


def test_a_refund_leads_to_its_call(console: Client, ann: User) -> None:
    _spend(ann, 10, models=("m1",))
    call = UsageRecord.objects.get()
    refund(actor=make_root(), call=call, quota=4, memo="it hung", at=NOON)

    response = console.get(URL)

    assert _lines(response)[0] == ("Refund of a call of m1", "it hung", 4)
    assert f'href="/usage/{call.pk}/"' in response.text
    assert "$0.000008 refunded" in console.get("/usage/").text
    assert "Refunded" in console.get(f"/usage/{call.pk}/").text
