"""Movements of quota, for programs."""

import pytest

from tests.factories import make_admin, make_root, make_user

pytestmark = pytest.mark.django_db


def test_a_user_sees_their_own_movements_only(program) -> None:
    user = make_user(balance=5)
    make_user(balance=6)

    items = program(user, "read").get("/ledger-entries").body["items"]

    assert [(item["user_id"], item["amount"], item["amount_usd"]) for item in items] == [
        (user.pk, 5, "0.000010")
    ]


def test_an_administrator_sees_everybodys_but_roots(program) -> None:
    user, root = make_user(balance=5), make_root(balance=6)

    items = program(make_admin()).get("/ledger-entries").body["items"]

    assert [item["user_id"] for item in items] == [user.pk]
    assert root.pk not in [item["user_id"] for item in items]


def test_movements_are_filtered_by_person_kind_and_time(program) -> None:
    user, other = make_user(balance=5), make_user(balance=6)
    asks = program(make_admin())
    asks.post(f"/users/{user.pk}/adjustments", {"quota": -1, "memo": "m"})

    def amounts(query: str) -> list[int]:
        return [item["amount"] for item in asks.get(f"/ledger-entries?{query}").body["items"]]

    assert amounts(f"user={user.pk}") == [-1, 5]
    assert amounts("kind=adjustment") == [-1]
    assert amounts("until=2026-03-03T00:00:00Z") == [6, 5]
    assert amounts("since=2026-03-03T00:00:00Z") == [-1]
    assert amounts(f"user={other.pk}&kind=adjustment") == []
