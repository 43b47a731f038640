"""Many top-ups in one request."""

import pytest

from billing.models import LedgerEntry
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import balance_of, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db


def test_everybody_who_can_be_topped_up_is_and_every_refusal_is_told(program) -> None:
    ann, bob, full = make_user(), make_user(balance=5), make_user(balance=MAX_QUOTA)
    other, root = make_admin(), make_root()
    items = [
        {"user_id": bob.pk, "quota": 10, "memo": "b"},
        {"user_id": 10**15, "quota": 10},
        {"user_id": other.pk, "quota": 10},
        {"user_id": root.pk, "quota": 10},
        {"user_id": full.pk, "quota": 1},
        {"user_id": ann.pk, "usd": "0.5"},
        {"user_id": bob.pk, "quota": 7},
    ]

    answer = program(make_admin(), "topup").post("/bulk/top-ups", {"items": items})

    told = [(item["code"], item["balance_after"]) for item in answer.body["items"]]
    assert answer.status == 200
    assert told == [
        (None, 15),
        ("user_not_found", None),
        ("permission_denied", None),
        ("user_not_found", None),
        ("quota_too_large", None),
        (None, 250_000),
        (None, 22),
    ]
    assert (answer.body["done_count"], answer.body["refused_count"], answer.body["total"]) == (3, 4, 250_017)
    assert [balance_of(user) for user in (ann, bob, full)] == [250_000, 22, MAX_QUOTA]


def test_a_preview_says_the_same_and_moves_nothing(program) -> None:
    user = make_user(balance=5)
    asks = program(make_admin())
    body = {"items": [{"user_id": user.pk, "quota": 10}, {"user_id": 10**15, "quota": 1}]}

    looked = asks.post("/bulk/top-ups?preview=true", body).body
    untouched = balance_of(user)
    done = asks.post("/bulk/top-ups", body).body

    assert untouched == 5
    assert (looked["is_preview"], done["is_preview"]) == (True, False)
    assert [item["balance_after"] for item in looked["items"]] == [15, None]
    assert [item["balance_after"] for item in done["items"]] == [15, None]
    assert looked["items"][0]["entry_id"] is None
    assert done["items"][0]["entry_id"] == LedgerEntry.objects.latest("pk").pk


def test_a_list_sent_again_credits_nobody_again(program) -> None:
    users = [make_user() for _ in range(3)]
    asks = program(make_admin())
    body = {"items": [{"user_id": user.pk, "quota": 10} for user in users]}

    first = asks.post("/bulk/top-ups", body, Idempotency_Key="payday")
    again = asks.post("/bulk/top-ups", body, Idempotency_Key="payday")

    assert again.body == first.body
    assert [balance_of(user) for user in users] == [10] * 3


@pytest.mark.parametrize("items", [[], [{"quota": 5}], [{"user_id": 1, "quota": 5, "usd": "1"}], "all"])
def test_a_list_that_makes_no_sense_is_refused(program, items) -> None:
    answer = program(make_admin()).post("/bulk/top-ups", {"items": items})

    assert (answer.status, answer.code) == (422, "invalid_request")


def test_a_list_that_is_too_long_is_refused_whole(program) -> None:
    user = make_user()

    answer = program(make_admin()).post("/bulk/top-ups", {"items": [{"user_id": user.pk, "quota": 1}] * 1001})

    assert answer.status == 422
    assert balance_of(user) == 0


def test_a_bulk_top_up_is_listed_looked_at_and_undone(program) -> None:
    ann, bob = make_user(), make_user()
    asks = program(make_admin(), "topup", "read")
    body = {"items": [{"user_id": user.pk, "quota": 10} for user in (ann, bob)], "memo": "payday"}
    number = asks.post("/bulk/top-ups", body).body["bulk_top_up_id"]
    path = f"/bulk-top-ups/{number}/undo"

    looked = asks.post(f"{path}?preview=true", {"memo": "m"}).body
    untouched = balance_of(ann)
    done = asks.post(path, {"memo": "m"}, Idempotency_Key="k")
    again = asks.post(path, {"memo": "m"}, Idempotency_Key="k")
    once_more = asks.post(path, {"memo": "m"}).body
    [run] = asks.get("/bulk-top-ups").body["items"]

    assert untouched == 10
    assert (looked["is_preview"], looked["total"], looked["items"][0]["reversal_id"]) == (True, 20, None)
    assert (done.status, done.body["done_count"], done.body["total"]) == (200, 2, 20)
    assert again.body == done.body
    assert {item["code"] for item in once_more["items"]} == {"already_reversed"}
    told = {name: run[name] for name in ("id", "memo", "count", "total", "reversed_count", "reversed_total")}
    assert told == {
        "id": number, "memo": "payday", "count": 2, "total": 20, "reversed_count": 2, "reversed_total": 20,
    }  # fmt: skip
    assert [balance_of(user) for user in (ann, bob)] == [0, 0]


def test_a_preview_of_a_bulk_top_up_has_no_number(program) -> None:
    body = {"items": [{"user_id": make_user().pk, "quota": 10}]}
    asks = program(make_admin())

    assert asks.post("/bulk/top-ups?preview=true", body).body["bulk_top_up_id"] is None
    assert asks.get("/bulk-top-ups").body["items"] == []


def test_roots_bulk_top_ups_are_not_found_by_administrators(program) -> None:
    body = {"items": [{"user_id": make_user().pk, "quota": 10}]}
    number = program(make_root()).post("/bulk/top-ups", body).body["bulk_top_up_id"]
    asks = program(make_admin())

    assert asks.post(f"/bulk-top-ups/{number}/undo", {"memo": "m"}).status == 404
    assert asks.get("/bulk-top-ups").body["items"] == []
