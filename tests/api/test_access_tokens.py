"""Keys for this API, made and taken away by programs."""

import pytest

from accounts.models import AccessToken
from accounts.services.access_tokens import create_access_token
from oneapi_admin.lib.secrets import key_digest
from tests.api.conftest import Program
from tests.factories import make_admin, make_root, make_user

pytestmark = pytest.mark.django_db


def works(key: str) -> bool:
    return Program(key).get("/tokens").status == 200


def token_of(user, **fields) -> AccessToken:
    token, _key = create_access_token(actor=None, user=user, name="theirs", scopes=["read"], **fields)
    return token


def test_an_access_token_is_made_and_its_key_shown_once(program) -> None:
    user = make_user()
    asks = program(user)

    made = asks.post(
        "/access-tokens",
        {"name": "shop", "scopes": ["redeem", "read", "read"], "expires_at": "2099-01-01T00:00:00+08:00"},
    )

    stored = AccessToken.objects.get(name="shop")
    listed = asks.get("/access-tokens").body["items"]
    assert made.status == 201
    assert stored.key_hash == key_digest(made.body["key"])
    assert works(made.body["key"])
    assert (made.body["user_id"], made.body["scopes"]) == (user.pk, ["read", "redeem"])
    assert made.body["expires_at"] == "2098-12-31T16:00:00.000000Z"
    assert listed[0]["id"] == made.body["id"]
    assert "key" not in listed[0]


def test_a_list_tells_when_and_from_where_a_token_was_used(program) -> None:
    asks = program(make_user())

    [used] = asks.get("/access-tokens").body["items"]

    assert used["last_used_ip"] == "127.0.0.1"
    assert used["last_used_at"].endswith("Z")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"name": " "}, "body.name"),
        ({"name": "n" * 65}, "body.name"),
        ({"scopes": []}, "body.scopes"),
        ({"scopes": ["everything"]}, "body.scopes.0"),
        ({"scopes": "read"}, "body.scopes"),
        ({"scopes": ["read"] * 9}, "body.scopes"),
        ({"scopes": ["read", "topup"]}, "body.scopes"),
        ({"expires_at": "tomorrow"}, "body.expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "body.expires_at"),
        ({"key": "oa-of-my-own"}, "body.key"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field(program, wrong, field: str) -> None:
    answer = program(make_user()).post("/access-tokens", {"name": "n", "scopes": ["read"], **wrong})

    assert (answer.status, answer.code) == (422, "invalid_request")
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert AccessToken.objects.count() == 1


def test_a_scope_that_only_operators_can_use_is_named_in_the_refusal(program) -> None:
    user = make_user()
    body = {"name": "n", "scopes": ["read", "channels"]}

    own = program(user).post("/access-tokens", body)
    given = program(make_root()).post(f"/users/{user.pk}/access-tokens", body)

    messages = [answer.body["errors"][0]["message"] for answer in (own, given)]
    assert messages == ["An access token of this person cannot have the scope “channels”."] * 2


@pytest.mark.parametrize("make_operator", [make_admin, make_root])
def test_an_operator_makes_lists_rotates_and_revokes_the_tokens_of_a_user(program, make_operator) -> None:
    user, asks = make_user(), program(make_operator())

    made = asks.post(f"/users/{user.pk}/access-tokens", {"name": "shop", "scopes": ["read"]})
    listed = asks.get(f"/access-tokens?user_id={user.pk}").body["items"]
    path = f"/access-tokens/{made.body['id']}"
    rotated = asks.post(f"{path}/rotate", {})

    assert (made.status, made.body["user_id"]) == (201, user.pk)
    assert [item["id"] for item in listed] == [made.body["id"]]
    assert rotated.status == 200
    assert [works(made.body["key"]), works(rotated.body["key"])] == [False, True]
    assert asks.delete(path).status == 204
    assert not user.access_tokens.exists()


def test_a_list_shows_the_callers_own_tokens_in_pages(program) -> None:
    user = make_user()
    asks = program(user)
    for _ in range(4):
        token_of(user)
        token_of(make_user())

    first = asks.get("/access-tokens?limit=3").body
    last = asks.get(f"/access-tokens?limit=3&cursor={first['next_cursor']}").body

    ids = [item["id"] for item in [*first["items"], *last["items"]]]
    assert ids == list(user.access_tokens.order_by("-pk").values_list("pk", flat=True))
    assert last["next_cursor"] is None


def test_a_token_may_rotate_itself_and_the_old_key_works_through_the_grace(program) -> None:
    asks = program(make_user())
    token = AccessToken.objects.get()

    rotated = asks.post(f"/access-tokens/{token.pk}/rotate", {"grace_seconds": 3600})

    assert works(asks.key)
    assert works(rotated.body["key"])
    assert (rotated.body["id"], rotated.body["name"]) == (token.pk, token.name)
    assert rotated.body["key_prefix"] != token.key_prefix


def test_a_rotation_without_grace_ends_the_old_key(program) -> None:
    asks = program(make_user())

    rotated = asks.post(f"/access-tokens/{AccessToken.objects.get().pk}/rotate", {})

    assert [works(asks.key), works(rotated.body["key"])] == [False, True]


@pytest.mark.parametrize("seconds", [-1, 604_801, "1h", None, 2**70])
def test_a_grace_of_more_than_a_week_or_of_none_is_refused(program, seconds) -> None:
    asks = program(make_user())
    path = f"/access-tokens/{AccessToken.objects.get().pk}/rotate"

    answer = asks.post(path, {"grace_seconds": seconds})

    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "body.grace_seconds")
    assert works(asks.key)


def test_a_revoked_token_works_neither_with_its_key_nor_with_the_one_before(program) -> None:
    user = make_user()
    asks, other = program(user), program(user)
    path = f"/access-tokens/{AccessToken.objects.earliest('pk').pk}"
    rotated = asks.post(f"{path}/rotate", {"grace_seconds": 3600})

    assert other.delete(path).status == 204
    assert [works(asks.key), works(rotated.body["key"]), works(other.key)] == [False, False, True]
    assert other.delete(path).code == "not_found"


@pytest.mark.parametrize("person", [make_admin, make_root, make_user])
def test_what_is_not_below_the_caller_is_not_found_and_stays(program, person) -> None:
    theirs = token_of(person())
    callers = {make_user: make_user, make_admin: make_admin, make_root: make_admin}
    asks = program(callers[person]())

    answers = [
        asks.post(f"/access-tokens/{theirs.pk}/rotate", {}),
        asks.delete(f"/access-tokens/{theirs.pk}"),
        asks.get(f"/access-tokens?user_id={theirs.user_id}"),
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(404, "not_found")] * 3
    assert AccessToken.objects.get(pk=theirs.pk).key_hash == theirs.key_hash


@pytest.mark.parametrize("person", [make_admin, make_root])
def test_an_administrator_makes_no_token_for_another_operator(program, person) -> None:
    theirs = person()

    answer = program(make_admin()).post(
        f"/users/{theirs.pk}/access-tokens", {"name": "n", "scopes": ["read"]}
    )

    assert (answer.status, answer.code) == (404, "not_found")
    assert not theirs.access_tokens.exists()


@pytest.mark.parametrize("number", [10**9, 2**63 - 1])
def test_what_does_not_exist_is_not_found(program, number: int) -> None:
    asks = program(make_root())

    answers = [
        asks.post(f"/access-tokens/{number}/rotate", {}),
        asks.delete(f"/access-tokens/{number}"),
        asks.get(f"/access-tokens?user_id={number}"),
        asks.post(f"/users/{number}/access-tokens", {"name": "n", "scopes": ["read"]}),
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(404, "not_found")] * 4


def test_a_rotation_that_is_sent_again_gives_the_same_key(program) -> None:
    user = make_user()
    asks, token = program(user), token_of(user)

    first, again = (
        asks.post(f"/access-tokens/{token.pk}/rotate", {}, Idempotency_Key="r-1") for _ in range(2)
    )

    assert first.body == again.body
    assert works(first.body["key"])
