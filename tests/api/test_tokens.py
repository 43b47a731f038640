"""Tokens for ``/v1``, for programs."""

from datetime import UTC, datetime

import pytest

from accounts.models import Token
from billing.services.callers import find_caller
from oneapi_admin.lib.secrets import key_digest
from tests.factories import make_admin, make_root, make_token, make_user

pytestmark = pytest.mark.django_db


def works(key: str) -> bool:
    return find_caller(key_hash=key_digest(key.removeprefix("sk-"))) is not None


def test_a_token_is_made_with_its_limits_and_shown_once(program) -> None:
    user = make_user()
    asks = program(user, "tokens")

    made = asks.post(
        "/tokens",
        {
            "name": "laptop",
            "quota_limit": 500,
            "expires_at": "2030-01-01T00:00:00+08:00",
            "allowed_models": ["gpt-5"],
            "allowed_networks": ["192.0.2.0/24"],
        },
    )
    read = asks.get(f"/tokens/{made.body['id']}")

    assert made.status == 201
    assert works(made.body["key"])
    assert "key" not in read.body
    assert (read.body["quota_limit"], read.body["allowed_models"]) == (500, ["gpt-5"])
    assert read.body["expires_at"] == "2029-12-31T16:00:00.000000Z"


def test_a_time_has_any_offset(program) -> None:
    made = program(make_user()).post("/tokens", {"name": "a", "expires_at": "2030-01-01T00:00:00+22:32"})

    assert made.body["expires_at"] == "2029-12-31T01:28:00.000000Z"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"name": "  "}, "body.name"),
        ({"name": "x" * 65}, "body.name"),
        ({"quota_limit": -1}, "body.quota_limit"),
        ({"quota_limit": 2**53}, "body.quota_limit"),
        ({"expires_at": "tomorrow"}, "body.expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "body.expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "body.expires_at"),
        ({"allowed_networks": ["10.0.0.0/33"]}, "body.allowed_networks"),
        ({"allowed_models": "gpt-5"}, "body.allowed_models"),
    ],
)
def test_a_token_with_a_wrong_field_is_refused_naming_it(program, wrong, field) -> None:
    answer = program(make_user()).post("/tokens", {"name": "a", **wrong})

    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert not Token.objects.exists()


def test_an_expiry_that_has_passed_can_stay_and_cannot_be_set(program) -> None:
    user, passed = make_user(), datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    token = make_token(user, expires_at=passed).token
    path, asks = f"/tokens/{token.pk}", program(user)

    same = asks.patch(path, {"name": "new", "expires_at": asks.get(path).body["expires_at"]})
    other = asks.patch(path, {"name": "newer", "expires_at": "2026-03-01T12:00:00Z"})

    assert (same.status, same.body["name"]) == (200, "new")
    assert (other.status, [error["field"] for error in other.body["errors"]]) == (422, ["body.expires_at"])
    token.refresh_from_db()
    assert (token.name, token.expires_at) == ("new", passed)


def test_a_change_leaves_what_it_does_not_name_and_null_takes_a_limit_away(program) -> None:
    user = make_user()
    token = make_token(user, quota_limit=500, allowed_models=["a"]).token
    asks = program(user)

    renamed = asks.patch(f"/tokens/{token.pk}", {"name": "new", "status": "disabled"}).body
    unlimited = asks.patch(f"/tokens/{token.pk}", {"quota_limit": None, "allowed_models": None}).body

    assert (renamed["name"], renamed["status"], renamed["quota_limit"]) == ("new", "disabled", 500)
    assert (unlimited["quota_limit"], unlimited["allowed_models"]) == (None, ["a"])


def test_a_new_key_ends_the_old_one(program) -> None:
    user = make_user()
    made = make_token(user)

    rotated = program(user).post(f"/tokens/{made.token.pk}/rotate", {})

    assert rotated.status == 200
    assert works(rotated.body["key"])
    assert not works(made.key)


def test_a_deleted_token_is_gone(program) -> None:
    user = make_user()
    token = make_token(user).token
    asks = program(user)

    assert asks.delete(f"/tokens/{token.pk}").status == 204
    assert asks.get(f"/tokens/{token.pk}").status == 404
    assert asks.delete(f"/tokens/{token.pk}").status == 404


def test_who_saw_an_old_version_neither_changes_nor_deletes_a_newer_one(program) -> None:
    user = make_user()
    token = make_token(user).token
    asks = program(user)
    seen = asks.get(f"/tokens/{token.pk}").headers["ETag"]
    asks.patch(f"/tokens/{token.pk}", {"name": "newer"})

    assert asks.patch(f"/tokens/{token.pk}", {"name": "late"}, If_Match=seen).code == "lost_update"
    assert asks.delete(f"/tokens/{token.pk}", If_Match=seen).code == "lost_update"
    assert asks.delete(f"/tokens/{token.pk}", If_Match="*").status == 204


def test_an_operator_makes_and_lists_tokens_of_users_below_them_only(program) -> None:
    user, admin = make_user(), make_admin()
    other_admin, root = make_admin(), make_root()
    asks = program(admin)

    made = asks.post("/tokens", {"name": "for them", "user_id": user.pk})
    refused = [asks.post("/tokens", {"name": "x", "user_id": pk}).status for pk in (other_admin.pk, root.pk)]

    assert (made.status, made.body["user_id"]) == (201, user.pk)
    assert [item["id"] for item in asks.get(f"/tokens?user_id={user.pk}").body["items"]] == [made.body["id"]]
    assert asks.get("/tokens").body["items"] == []
    assert refused == [404, 404]


def test_a_user_neither_sees_nor_touches_anothers_token(program) -> None:
    theirs = make_token(make_user()).token
    asks = program(make_user())

    answers = [
        asks.get(f"/tokens/{theirs.pk}"),
        asks.patch(f"/tokens/{theirs.pk}", {"name": "mine"}),
        asks.post(f"/tokens/{theirs.pk}/rotate", {}),
        asks.delete(f"/tokens/{theirs.pk}"),
        asks.get(f"/tokens?user_id={theirs.user_id}"),
    ]

    assert [answer.status for answer in answers] == [404] * 5
    assert Token.objects.get(pk=theirs.pk).name == theirs.name
