"""Reversals and refunds by programs."""

import pytest

from accounts.models import User
from billing.models import LedgerEntry, UsageRecord
from billing.services.calls import settle
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import balance_of, make_admin, make_channel, make_token, make_user, settlement

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user(balance=100)


@pytest.fixture
def call(user: User) -> UsageRecord:
    done = settlement(make_token(user), make_channel(), quota=60)
    settle(settlements=[done], at=done.created_at)
    return UsageRecord.objects.get()


def test_an_entry_is_reversed_and_both_name_each_other(program, user) -> None:
    asks = program(make_admin(), "topup", "read")
    entry = LedgerEntry.objects.get()

    answer = asks.post(f"/ledger-entries/{entry.pk}/reverse", {"memo": "a mistake"}, Idempotency_Key="k")
    again = asks.post(f"/ledger-entries/{entry.pk}/reverse", {"memo": "a mistake"}, Idempotency_Key="k")
    once_more = asks.post(f"/ledger-entries/{entry.pk}/reverse", {"memo": "a mistake"})
    listed = asks.get("/ledger-entries").body["items"]

    assert answer.status == 201
    assert again.body == answer.body
    told = {name: answer.body[name] for name in ("kind", "amount", "reverses_id", "shortfall", "memo")}
    assert told == {
        "kind": "reversal",
        "amount": -100,
        "reverses_id": entry.pk,
        "shortfall": 0,
        "memo": "a mistake",
    }
    assert (once_more.status, once_more.code) == (409, "already_reversed")
    assert [(row["reverses_id"], row["reversed_by_id"]) for row in listed] == [
        (entry.pk, None),
        (None, answer.body["id"]),
    ]
    assert balance_of(user) == 0


def test_what_is_spent_is_taken_only_where_the_program_says_so(program, user, call) -> None:
    asks = program(make_admin())
    path = f"/ledger-entries/{LedgerEntry.objects.order_by('pk')[0].pk}/reverse"

    whole = asks.post(path, {"memo": "m"})
    part = asks.post(path, {"memo": "m", "allow_partial": True})

    assert (whole.status, whole.code) == (409, "quota_spent")
    assert (part.status, part.body["amount"], part.body["shortfall"]) == (201, -40, 60)
    assert balance_of(user) == 0


@pytest.mark.parametrize(
    "body", [{}, {"memo": None}, {"memo": "m", "allow_partial": 1}, {"memo": "m", "quota": 5}]
)
def test_a_reversal_that_makes_no_sense_is_refused(program, user, body) -> None:
    answer = program(make_admin()).post(f"/ledger-entries/{LedgerEntry.objects.get().pk}/reverse", body)

    assert (answer.status, answer.code) == (422, "invalid_request")


def test_a_call_is_refunded_by_either_of_its_names(program, user, call) -> None:
    asks = program(make_admin(), "topup", "read")

    by_id = asks.post(f"/usage/{call.pk}/refund", {"quota": 10, "memo": "m"}, Idempotency_Key="k")
    again = asks.post(f"/usage/{call.pk}/refund", {"quota": 10, "memo": "m"}, Idempotency_Key="k")
    rest = asks.post(f"/usage/{call.request_id}/refund", {"memo": "m"})
    [told] = asks.get(f"/usage?request_id={call.request_id}").body["items"]

    assert (by_id.status, by_id.body["kind"], by_id.body["amount"]) == (201, "refund", 10)
    assert again.body == by_id.body
    assert (rest.body["amount"], rest.body["reference"]) == (50, call.request_id)
    assert (told["quota"], told["refunded_quota"]) == (60, 60)
    assert balance_of(user) == 100


@pytest.mark.parametrize("quota", [0, -5, 61, MAX_QUOTA, MAX_QUOTA + 1, "5", 1.5, True])
def test_refunds_of_impossible_amounts_are_refused(program, user, call, quota) -> None:
    answer = program(make_admin()).post(f"/usage/{call.pk}/refund", {"quota": quota, "memo": "m"})

    assert answer.status == 422
    assert balance_of(user) == 40


def test_a_call_that_nobody_made_is_not_found(program) -> None:
    asks = program(make_admin())

    statuses = [
        asks.post(f"/usage/{name}/refund", {"memo": "m"}).status for name in ("7", "9" * 30, "never-made")
    ]

    assert statuses == [404, 404, 404]


def test_a_scope_is_needed_to_correct(program, user, call) -> None:
    asks = program(make_admin(), "read", "users")

    for path in (
        f"/usage/{call.pk}/refund",
        f"/ledger-entries/{LedgerEntry.objects.latest('pk').pk}/reverse",
    ):
        answer = asks.post(path, {"memo": "m"})
        assert (answer.status, answer.code) == (403, "missing_scope")
