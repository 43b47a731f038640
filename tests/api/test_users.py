"""People and their quota, for programs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import IdempotencyRecord, User
from billing.models import LedgerEntry, QuotaAccount
from tests.factories import balance_of, make_admin, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("root")]
NEW = {"username": "ann", "password": "a long pass phrase"}


def test_me_says_who_asks_and_what_is_left(program) -> None:
    user = make_user(balance=700, username="bob")

    answer = program(user, "read").get("/me")

    assert answer.status == 200
    assert {name: answer.body[name] for name in ("id", "username", "role", "balance", "held")} == {
        "id": user.pk,
        "username": "bob",
        "role": "user",
        "balance": 700,
        "held": 0,
    }


def test_a_user_is_made_with_an_account_and_first_quota(program) -> None:
    answer = program(make_admin()).post("/users", {**NEW, "email": "ann@example.com", "quota": 500})

    made = User.objects.get(username="ann")
    assert (answer.status, answer.body["id"], answer.body["balance"]) == (201, made.pk, 500)
    assert made.check_password("a long pass phrase")
    assert "password" not in answer.body
    assert balance_of(made) == 500


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"username": "a b"}, "body.username"),
        ({"username": "x" * 65}, "body.username"),
        ({"username": "nul\0"}, "body.username"),
        ({"password": "short"}, "body.password"),
        ({"password": "12345678901"}, "body.password"),
        ({"email": "no address"}, "body.email"),
        ({"group": "Big Spenders"}, "body.group"),
        ({"role": "king"}, "body.role"),
        ({"quota": -1}, "body.quota"),
        ({"quota": 2**53}, "body.quota"),
        ({"quota": "500"}, "body.quota"),
        ({"quota": 1.5}, "body.quota"),
        ({"surprise": 1}, "body.surprise"),
    ],
)
def test_a_user_with_a_wrong_field_is_refused_naming_it(program, wrong, field) -> None:
    answer = program(make_admin()).post("/users", {**NEW, **wrong})

    assert (answer.status, answer.code) == (422, "invalid_request")
    assert {error["field"] for error in answer.body["errors"]} == {field}
    assert not User.objects.filter(username="ann").exists()


def test_a_taken_name_is_refused_whatever_its_case(program) -> None:
    make_user(username="ann")

    answer = program(make_admin()).post("/users", {**NEW, "username": "ANN"})

    assert (answer.status, answer.code) == (409, "username_taken")


def test_a_taken_address_is_refused(program) -> None:
    make_user(email="ann@example.com")
    user = make_user()
    asks = program(make_admin())

    made = asks.post("/users", {**NEW, "email": "Ann@example.com"})
    changed = asks.patch(f"/users/{user.pk}", {"email": "ANN@example.com"})

    assert [made.code, changed.code] == ["email_taken"] * 2


def test_an_administrator_makes_ordinary_users_only(program) -> None:
    answer = program(make_admin()).post("/users", {**NEW, "role": "admin"})

    assert (answer.status, answer.code) == (403, "permission_denied")


def test_nobody_below_root_finds_root(program, root) -> None:
    asks = program(make_admin())

    assert asks.get(f"/users/{root.pk}").status == 404
    assert asks.patch(f"/users/{root.pk}", {"display_name": "x"}).status == 404
    assert asks.delete(f"/users/{root.pk}").status == 404
    assert asks.post(f"/users/{root.pk}/top-ups", {"quota": 5}).status == 404
    assert root.pk not in [item["id"] for item in asks.get("/users").body["items"]]


def test_a_change_leaves_what_it_does_not_name(program) -> None:
    user = make_user(display_name="Ann", group="vip")

    answer = program(make_admin()).patch(f"/users/{user.pk}", {"status": "disabled"})

    user.refresh_from_db()
    assert answer.status == 200
    assert (user.display_name, user.group, user.status) == ("Ann", "vip", "disabled")


def test_who_saw_an_old_version_does_not_overwrite_a_newer_one(program) -> None:
    user = make_user()
    asks = program(make_admin())
    seen = asks.get(f"/users/{user.pk}").headers["ETag"]
    newer = asks.patch(f"/users/{user.pk}", {"display_name": "first"}, If_Match=seen)

    late = asks.patch(f"/users/{user.pk}", {"display_name": "second"}, If_Match=seen)
    now = asks.patch(f"/users/{user.pk}", {"display_name": "third"}, If_Match=newer.headers["ETag"])

    assert (late.status, late.code) == (412, "lost_update")
    assert now.status == 200
    assert User.objects.get(pk=user.pk).display_name == "third"


def test_a_deleted_user_is_gone_and_their_statement_stays(program) -> None:
    user = make_user(balance=500)
    asks = program(make_admin())

    deleted = asks.delete(f"/users/{user.pk}")

    assert deleted.status == 204
    assert asks.get(f"/users/{user.pk}").status == 404
    assert LedgerEntry.objects.filter(account=user.pk).count() == 1


def test_the_only_root_can_neither_leave_nor_be_disabled(program, root) -> None:
    asks = program(root)

    assert asks.delete(f"/users/{root.pk}").code == "last_root"
    assert asks.patch(f"/users/{root.pk}", {"status": "disabled"}).code == "last_root"


@pytest.mark.parametrize(("body", "quota"), [({"quota": 500}, 500), ({"usd": "0.5"}, 250_000)])
def test_a_top_up_is_in_units_or_in_dollars(program, body, quota) -> None:
    user = make_user(balance=1)

    answer = program(make_admin(), "topup").post(f"/users/{user.pk}/top-ups", {**body, "memo": "order 7"})

    assert answer.status == 201
    assert (answer.body["amount"], answer.body["balance_after"], answer.body["memo"]) == (
        quota,
        quota + 1,
        "order 7",
    )
    assert balance_of(user) == quota + 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"quota": 0},
        {"quota": -5},
        {"quota": 2**53},
        {"quota": 10**400},
        {"quota": True},
        {"quota": "5"},
        {"quota": 5, "usd": "1"},
        {"usd": "0"},
        {"usd": "0.000001"},
        {"usd": "1e3"},
        {"usd": 5},
        {"quota": 5, "memo": "x" * 256},
        {"quota": 5, "memo": "nul\0"},
    ],
)
def test_a_top_up_that_makes_no_sense_is_refused_and_moves_nothing(program, body) -> None:
    user = make_user(balance=1)

    answer = program(make_admin()).post(f"/users/{user.pk}/top-ups", body)

    assert answer.status == 422
    assert balance_of(user) == 1


def test_an_adjustment_takes_as_well_as_gives(program) -> None:
    user = make_user(balance=100)
    asks = program(make_admin())

    down = asks.post(f"/users/{user.pk}/adjustments", {"quota": -30, "memo": "double charge"})
    up = asks.post(f"/users/{user.pk}/adjustments", {"quota": 5, "memo": "rounding"})

    assert (down.body["kind"], down.body["balance_after"]) == ("adjustment", 70)
    assert up.body["balance_after"] == 75
    assert balance_of(user) == 75


def test_an_adjustment_never_takes_what_calls_hold(program) -> None:
    user = make_user(balance=100)
    QuotaAccount.objects.filter(user=user).update(held=40)
    asks = program(make_admin())

    refused = asks.post(f"/users/{user.pk}/adjustments", {"quota": -61, "memo": "m"})
    taken = asks.post(f"/users/{user.pk}/adjustments", {"quota": -60, "memo": "m"})

    assert (refused.status, refused.code) == (409, "quota_held")
    assert taken.status == 201
    assert balance_of(user) == 40


def test_an_adjustment_sent_again_after_the_quota_was_spent_is_still_the_first_one(program) -> None:
    user = make_user(balance=100)
    asks = program(make_admin())
    path, body = f"/users/{user.pk}/adjustments", {"quota": -90, "memo": "m"}
    first = asks.post(path, body, Idempotency_Key="1")
    IdempotencyRecord.objects.all().delete()
    again = asks.post(path, body, Idempotency_Key="1")

    assert (again.status, again.body["id"]) == (201, first.body["id"])
    assert balance_of(user) == 10


def test_a_list_is_paged_by_key_and_filtered(program) -> None:
    made = [make_user(username=f"page-{number}", group="vip") for number in range(5)]
    make_user(username="other")
    asks = program(make_admin())

    first = asks.get("/users?group=vip&limit=3").body
    second = asks.get(f"/users?group=vip&limit=3&cursor={first['next_cursor']}").body

    ids = [item["id"] for item in first["items"] + second["items"]]
    assert ids == [user.pk for user in reversed(made)]
    assert second["next_cursor"] is None
    assert [item["username"] for item in asks.get("/users?q=oth").body["items"]] == ["other"]


def test_a_list_is_read_from_its_other_end_too(program, root) -> None:
    made = [make_user(group="vip") for _ in range(5)]
    asks = program(make_admin())

    first = asks.get("/users?group=vip&limit=3&order=id").body
    second = asks.get(f"/users?group=vip&limit=3&order=id&cursor={first['next_cursor']}").body

    assert [item["id"] for item in first["items"] + second["items"]] == [user.pk for user in made]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    [
        "order=name",
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=x",
        "cursor=-1",
        "cursor=9999999999999999999",
        "role=king",
    ],
)
def test_a_list_with_a_wrong_parameter_is_refused(program, query) -> None:
    answer = program(make_admin()).get(f"/users?{query}")

    assert answer.status == 422
    assert answer.body["errors"][0]["field"] == f"query.{query.partition('=')[0]}"


def queries_for(asks, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        asks.get(path)
    return len(queries)


@pytest.mark.parametrize("path", ["/users", "/ledger-entries", "/tokens", "/access-tokens"])
def test_a_list_takes_as_many_queries_for_one_row_as_for_twenty(program, path) -> None:
    operator = make_admin()
    asks = program(operator)
    asks.get("/me")
    for number in range(20):
        make_user(balance=10)
        asks.post("/tokens", {"name": str(number)})
        asks.post("/access-tokens", {"name": str(number), "scopes": ["read"]})

    assert queries_for(asks, f"{path}?limit=1") == queries_for(asks, f"{path}?limit=20")
