"""Requests that are sent again."""

import pytest

from accounts.models import IdempotencyRecord
from billing.models import LedgerEntry
from tests.factories import balance_of, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db


def test_a_request_sent_again_gets_the_first_answer_and_has_no_second_effect(program) -> None:
    user, asks = make_user(), program(make_admin())
    path, body = f"/users/{user.pk}/top-ups", {"quota": 500, "memo": "order 7"}

    first = asks.post(path, body, Idempotency_Key="order-7")
    again = asks.post(path, body, Idempotency_Key="order-7")

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert balance_of(user) == 500


def test_a_key_does_not_stand_for_another_body(program) -> None:
    user, asks = make_user(), program(make_admin())
    asks.post(f"/users/{user.pk}/top-ups", {"quota": 500}, Idempotency_Key="order-7")

    other = asks.post(f"/users/{user.pk}/top-ups", {"quota": 600}, Idempotency_Key="order-7")

    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert balance_of(user) == 500


def test_two_programs_may_use_the_same_key(program) -> None:
    user = make_user()

    answers = [
        program(operator).post(f"/users/{user.pk}/top-ups", {"quota": 5}, Idempotency_Key="1")
        for operator in (make_admin(), make_root())
    ]

    assert [answer.status for answer in answers] == [201, 201]
    assert balance_of(user) == 10


def test_what_fails_is_not_stored(program) -> None:
    user, asks = make_user(balance=10), program(make_root())
    path = f"/users/{user.pk}/adjustments"
    refused = asks.post(path, {"quota": -50, "memo": "m"}, Idempotency_Key="1")
    asks.post(f"/users/{user.pk}/top-ups", {"quota": 90})

    done = asks.post(path, {"quota": -50, "memo": "m"}, Idempotency_Key="1")

    assert (refused.status, refused.code) == (409, "quota_held")
    assert done.status == 201
    assert balance_of(user) == 50


def test_the_ledger_remembers_a_key_after_its_answer_was_forgotten(program) -> None:
    user, asks = make_user(), program(make_admin())
    path = f"/users/{user.pk}/top-ups"
    first = asks.post(path, {"quota": 500}, Idempotency_Key="order-7")
    IdempotencyRecord.objects.all().delete()

    again = asks.post(path, {"quota": 500}, Idempotency_Key="order-7")
    IdempotencyRecord.objects.all().delete()
    other = asks.post(path, {"quota": 501}, Idempotency_Key="order-7")

    assert (again.status, again.body["id"]) == (201, first.body["id"])
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert LedgerEntry.objects.count() == 1


def test_a_secret_that_is_shown_once_is_stored_encrypted(program) -> None:
    asks = program(make_user())

    made = asks.post("/tokens", {"name": "a"}, Idempotency_Key="1")
    again = asks.post("/tokens", {"name": "a"}, Idempotency_Key="1")

    assert again.body["key"] == made.body["key"]
    assert made.body["key"] not in IdempotencyRecord.objects.get().encrypted_body


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "schlüssel"])
def test_a_key_that_is_none_is_refused(program, key) -> None:
    user = make_user()

    answer = program(make_admin()).post(f"/users/{user.pk}/top-ups", {"quota": 5}, Idempotency_Key=key)

    assert (answer.status, answer.code) == (422, "idempotency_key_invalid")
    assert balance_of(user) == 0
