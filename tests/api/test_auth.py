"""Who is let in, and what with."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import AccessToken, Role, User, UserStatus
from accounts.services import access_tokens, tokens
from tests.api.conftest import Program
from tests.factories import balance_of, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db


def browser(user: User) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def csrf_token(client: Client) -> str:
    client.get("/settings/")
    return client.cookies[settings.CSRF_COOKIE_NAME].value


def new_token(client: Client, **headers: str):
    return client.post("/api/v1/tokens", {"name": "a"}, content_type="application/json", headers=headers)


def test_a_program_is_let_in_as_the_owner_of_its_token(program) -> None:
    user = make_user(balance=700)

    answer = program(user).get("/me")

    assert (answer.status, answer.body["id"], answer.body["balance"]) == (200, user.pk, 700)


def test_a_stranger_is_asked_who_they_are() -> None:
    answer = Program().get("/me")

    assert (answer.status, answer.code) == (401, "authentication_required")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer oa-unknown", "bearer ключ", "Bearer a b", "Bearer \0"]
)
def test_an_unknown_key_is_refused(header: str) -> None:
    answer = Program().get("/me", Authorization=header)

    assert (answer.status, answer.code) == (401, "invalid_access_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "header", ["Basic cm9vdDpyb290", "Token {key}", "{key}", "Bearer{key}", "Bearer:{key}"]
)
def test_another_scheme_is_as_good_as_none(program, header: str) -> None:
    key = program(make_root()).key

    answer = Program().get("/me", Authorization=header.format(key=key))

    assert (answer.status, answer.code) == (401, "authentication_required")


def test_the_key_of_a_token_for_models_opens_nothing() -> None:
    _token, key = tokens.create_token(user=make_root(), name="for models")

    assert Program(key).get("/me").code == "invalid_access_token"


def test_an_expired_key_is_refused() -> None:
    gone, late = timezone.now(), timezone.now() + timedelta(hours=1)
    keys = [
        access_tokens.create_access_token(
            actor=None, user=make_user(), name="n", scopes=["read"], expires_at=at
        )[1]
        for at in (gone, late)
    ]

    assert [Program(key).get("/me").status for key in keys] == [401, 200]


def test_a_revoked_key_is_refused(program) -> None:
    asks = program(make_user())
    access_tokens.revoke_access_token(actor=None, token=AccessToken.objects.get())

    assert asks.get("/me").code == "invalid_access_token"


@pytest.mark.parametrize("status", [UserStatus.DISABLED, UserStatus.DELETED])
def test_the_key_of_somebody_disabled_is_refused(program, status: str) -> None:
    user = make_user()
    asks = program(user)
    User.objects.filter(pk=user.pk).update(status=status)

    assert asks.get("/me").code == "invalid_access_token"


def test_when_and_from_where_a_key_was_used_is_noted(program) -> None:
    before = timezone.now()

    program(make_user()).get("/me")

    token = AccessToken.objects.get()
    assert token.last_used_ip == "127.0.0.1"
    assert before <= token.last_used_at <= timezone.now()


def test_a_person_who_signed_in_reads_with_their_session() -> None:
    user = make_user()

    answer = browser(user).get("/api/v1/me")

    assert (answer.status_code, answer.json()["id"]) == (200, user.pk)


def test_a_session_changes_something_only_with_the_csrf_token() -> None:
    user = make_user()
    client = browser(user)

    without = new_token(client)
    wrong = new_token(client, **{"X-CSRFToken": "a" * 32})
    right = new_token(client, **{"X-CSRFToken": csrf_token(client)})

    assert [answer.status_code for answer in (without, wrong, right)] == [403, 403, 201]
    assert without.json()["code"] == "csrf_failed"
    assert user.tokens.count() == 1


def test_a_form_of_another_site_makes_nothing() -> None:
    user = make_user()
    client = browser(user)

    answers = [
        client.post("/api/v1/tokens", data, content_type=kind)
        for data, kind in [
            (b'{"name": "a"}', "text/plain"),
            (b"name=a", "application/x-www-form-urlencoded"),
            (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
            (b"broken", "multipart/form-data"),
        ]
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 400]
    assert not user.tokens.exists()


def test_a_form_with_the_csrf_token_is_still_no_json() -> None:
    client = browser(make_user())

    answer = client.post("/api/v1/tokens", {"name": "a"}, headers={"X-CSRFToken": csrf_token(client)})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_the_session_of_somebody_disabled_is_none() -> None:
    user = make_user()
    client = browser(user)
    User.objects.filter(pk=user.pk).update(status=UserStatus.DISABLED)

    assert client.get("/api/v1/me").status_code == 401


def test_a_bad_key_beside_a_good_session_is_refused() -> None:
    client = browser(make_user())

    answer = client.get("/api/v1/me", headers={"Authorization": "Bearer oa-unknown"})

    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_access_token")


def test_a_good_key_stands_above_the_session_and_needs_no_csrf_token(program) -> None:
    person, other = make_user(), make_user()
    client = browser(person)

    answer = new_token(client, Authorization=f"Bearer {program(other).key}")

    assert (answer.status_code, answer.json()["user_id"]) == (201, other.pk)


def test_a_session_may_do_what_a_token_without_the_scope_may_not(program) -> None:
    user = make_user()
    client = browser(user)

    refused = program(user, "redeem").post("/tokens", {"name": "a"})

    assert (refused.status, refused.code) == (403, "missing_scope")
    assert "“tokens”" in refused.body["detail"]
    assert new_token(client, **{"X-CSRFToken": csrf_token(client)}).status_code == 201


@pytest.mark.parametrize(
    ("scope", "reads", "writes"),
    [
        ("read", 200, 403),
        ("tokens", 200, 201),
        ("admin", 200, 201),
        ("redeem", 403, 403),
        ("topup", 403, 403),
    ],
)
def test_reading_takes_the_scope_or_read_and_writing_takes_the_scope(
    program, scope: str, reads: int, writes: int
) -> None:
    asks = program(make_admin(), scope)

    assert asks.get("/tokens").status == reads
    assert asks.post("/tokens", {"name": "a"}).status == writes


@pytest.mark.parametrize("scope", ["read", "tokens", "redeem", "users", "topup", "codes", "channels"])
def test_only_everything_makes_access_tokens(program, scope: str) -> None:
    asks = program(make_root(), scope)

    answer = asks.post("/access-tokens", {"name": "mightier", "scopes": ["admin"]})

    assert (answer.status, answer.code) == (403, "missing_scope")
    assert AccessToken.objects.count() == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/users", None),
        ("GET", "/users/{id}", None),
        ("POST", "/users", {"username": "eve", "password": "a long pass phrase"}),
        ("PATCH", "/users/{id}", {"group": "vip"}),
        ("DELETE", "/users/{id}", None),
        ("POST", "/users/{id}/top-ups", {"quota": 1}),
        ("POST", "/users/{id}/adjustments", {"quota": 1, "memo": "m"}),
        ("POST", "/users/{id}/access-tokens", {"name": "n", "scopes": ["read"]}),
    ],
)
def test_an_ordinary_user_is_refused_what_operators_do_even_to_themselves(
    program, method: str, path: str, body: object
) -> None:
    user = make_user()

    answer = program(user).ask(method, path.format(id=user.pk), body)

    assert (answer.status, answer.code) == (403, "permission_denied")
    assert (User.objects.get().group, balance_of(user)) == ("default", 0)


def test_the_scopes_of_an_operator_are_worth_nothing_once_they_are_a_user(program) -> None:
    admin, user = make_admin(), make_user()
    asks = program(admin, "topup")
    User.objects.filter(pk=admin.pk).update(role=Role.USER)

    assert asks.post(f"/users/{user.pk}/top-ups", {"quota": 1}).code == "permission_denied"
    assert balance_of(user) == 0


def test_an_administrators_token_does_not_see_root(program) -> None:
    root, asks = make_root(balance=5), program(make_admin())

    assert asks.get(f"/users/{root.pk}").code == "not_found"
    assert root.pk not in [user["id"] for user in asks.get("/users").body["items"]]
    assert asks.get(f"/ledger-entries?user={root.pk}").body["items"] == []
    assert asks.get(f"/tokens?user_id={root.pk}").code == "not_found"
    assert asks.get(f"/access-tokens?user_id={root.pk}").code == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/users/{id}", {"group": "vip"}),
        ("DELETE", "/users/{id}", None),
        ("POST", "/users/{id}/top-ups", {"quota": 1}),
        ("POST", "/users/{id}/adjustments", {"quota": 1, "memo": "m"}),
        ("POST", "/users/{id}/access-tokens", {"name": "n", "scopes": ["read"]}),
        ("POST", "/tokens", {"name": "n", "user_id": "{id}"}),
        ("POST", "/tokens/{token}/rotate", None),
        ("DELETE", "/tokens/{token}", None),
        ("POST", "/access-tokens/{access_token}/rotate", {}),
        ("DELETE", "/access-tokens/{access_token}", None),
    ],
)
def test_an_administrators_token_does_not_touch_root(program, method: str, path: str, body: object) -> None:
    root = make_root()
    root_token, _key = tokens.create_token(user=root, name="roots")
    program(root)
    numbers = {"id": root.pk, "token": root_token.pk, "access_token": AccessToken.objects.get().pk}
    asks = program(make_admin())

    answer = asks.ask(method, path.format(**numbers), _filled(body, root))

    assert (answer.status, answer.code) == (404, "not_found")
    assert User.objects.get(pk=root.pk).group == "default"
    assert (root.tokens.get().key_hash, root.access_tokens.count()) == (root_token.key_hash, 1)


def _filled(body: object, person: User) -> object:
    filled = {"user_id": person.pk}
    return {name: filled.get(name, value) for name, value in body.items()} if body else body
