"""Keys for the management API: what they may be made for, and when they work."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import OperationalError, connections
from django.db.models import QuerySet

from accounts.models import AccessToken, Scope, User, UserStatus
from accounts.services import access_tokens as services
from tests.factories import NOON, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)
OPERATORS = ["channels", "codes", "topup", "users"]


def make(user: User, **fields) -> tuple[AccessToken, str]:
    defaults = {"actor": None, "name": "a program", "scopes": ["read"]}
    return services.create_access_token(user=user, **{**defaults, **fields})


def works(key: str, at=NOON) -> bool:
    return services.use_access_token(key=key, address="192.0.2.1", at=at) is not None


@pytest.mark.parametrize("scope", OPERATORS)
def test_an_ordinary_user_gets_no_scope_that_is_of_use_to_operators_only(scope: str) -> None:
    for actor in (None, make_admin(), make_root()):
        with pytest.raises(ValidationError, match=f"scope “{scope}”"):
            make(make_user(), actor=actor, scopes=["read", scope])

    assert not AccessToken.objects.exists()


def test_everybody_else_gets_what_they_choose_each_scope_once() -> None:
    user, _key = make(make_user(), scopes=["tokens", "read", "redeem", "admin", "read"])
    admin, _key = make(make_admin(), scopes=Scope.values)

    assert user.scopes == ["admin", "read", "redeem", "tokens"]
    assert admin.scopes == sorted(Scope.values)


@pytest.mark.parametrize(
    ("scopes", "reason"),
    [([], "at least one"), (["everything"], "“everything”"), (["read", "READ"], "“READ”")],
)
def test_what_is_no_scope_is_refused(scopes: list[str], reason: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        make(make_root(), scopes=scopes)

    [message] = refusal.value.message_dict["scopes"]
    assert reason in message


def test_a_key_works_until_its_time_is_over() -> None:
    _token, key = make(make_user(), expires_at=NOON)

    assert works(key, at=NOON - timedelta(microseconds=1))
    assert not works(key, at=NOON)


@pytest.mark.parametrize("status", [UserStatus.DISABLED, UserStatus.DELETED])
def test_the_keys_of_somebody_who_may_not_sign_in_do_not_work(status: str) -> None:
    user = make_user()
    token, old = make(user)
    key = services.rotate_access_token(actor=None, token=token, grace=timedelta(days=1), at=NOON)

    User.objects.filter(pk=user.pk).update(status=status)

    assert not works(key)
    assert not works(old)


def test_a_rotated_key_works_through_its_grace() -> None:
    token, old = make(make_user())

    new = services.rotate_access_token(actor=None, token=token, grace=timedelta(hours=1), at=NOON)

    assert works(new)
    assert works(old, at=NOON + timedelta(minutes=59, seconds=59))
    assert not works(old, at=NOON + timedelta(hours=1))
    assert works(new, at=NOON + timedelta(days=99))


def test_a_grace_does_not_outlive_the_token() -> None:
    token, old = make(make_user(), expires_at=NOON + timedelta(minutes=1))

    services.rotate_access_token(actor=None, token=token, grace=timedelta(hours=1), at=NOON)

    assert works(old)
    assert not works(old, at=NOON + timedelta(minutes=1))


def test_without_grace_only_the_new_key_works() -> None:
    token, first = make(make_user())
    second = services.rotate_access_token(actor=None, token=token, grace=timedelta(days=7), at=NOON)

    third = services.rotate_access_token(actor=None, token=token, grace=timedelta(0), at=NOON)

    assert [works(key) for key in (first, second, third)] == [False, False, True]
    stored = AccessToken.objects.get()
    assert (stored.previous_key_hash, stored.previous_expires_at) == (None, None)


def test_a_second_rotation_keeps_one_key_and_not_the_one_before_it() -> None:
    token, first = make(make_user())
    second = services.rotate_access_token(actor=None, token=token, grace=timedelta(days=7), at=NOON)

    third = services.rotate_access_token(actor=None, token=token, grace=timedelta(days=7), at=NOON)

    assert [works(key) for key in (first, second, third)] == [False, True, True]


def test_a_revoked_token_works_with_none_of_its_keys_and_cannot_be_rotated() -> None:
    token, old = make(make_user())
    key = services.rotate_access_token(actor=None, token=token, grace=timedelta(days=7), at=NOON)

    services.revoke_access_token(actor=None, token=AccessToken.objects.get(pk=token.pk))

    assert not works(key)
    assert not works(old)
    with pytest.raises(services.AccessTokenGoneError):
        services.rotate_access_token(actor=None, token=token, grace=timedelta(0), at=NOON)


def test_rotations_at_once_leave_the_keys_of_the_last_two() -> None:
    token, first = make(make_user())
    start = threading.Barrier(4)

    def rotate() -> str:
        start.wait(20)
        try:
            return services.rotate_access_token(actor=None, token=token, grace=timedelta(days=1), at=NOON)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        keys = [future.result() for future in [pool.submit(rotate) for _ in range(4)]]

    assert [works(key) for key in keys].count(True) == 2
    assert not works(first)


def test_the_use_of_a_token_is_noted_once_a_minute() -> None:
    token, key = make(make_user())

    def last_use(address: str, at) -> tuple:
        services.use_access_token(key=key, address=address, at=at)
        token.refresh_from_db()
        return token.last_used_at, token.last_used_ip

    assert last_use("192.0.2.1", NOON) == (NOON, "192.0.2.1")
    assert last_use("192.0.2.2", NOON + MINUTE / 2) == (NOON, "192.0.2.1")
    assert last_use("2001:db8::1", NOON + MINUTE) == (NOON + MINUTE, "2001:db8::1")


def test_a_use_within_the_minute_writes_nothing(django_assert_num_queries) -> None:
    _token, key = make(make_user())
    assert works(key, at=NOON)

    with django_assert_num_queries(1):
        assert works(key, at=NOON + MINUTE / 2)


def test_an_earlier_request_that_comes_later_does_not_turn_the_clock_back(monkeypatch) -> None:
    token, key = make(make_user())
    read = QuerySet.first

    def somebody_notes_a_use(queryset: QuerySet) -> AccessToken:
        found = read(queryset)
        AccessToken.objects.update(last_used_at=NOON + MINUTE, last_used_ip="192.0.2.2")
        return found

    monkeypatch.setattr(QuerySet, "first", somebody_notes_a_use)
    assert works(key, at=NOON)

    token.refresh_from_db()
    assert (token.last_used_at, token.last_used_ip) == (NOON + MINUTE, "192.0.2.2")


@pytest.mark.parametrize(
    ("address", "stored"),
    [("fe80::1%eth0", "fe80::1"), ("unknown", None), ("192.0.2.1:443", None), ("", None), (None, None)],
)
def test_an_address_that_a_proxy_made_up_is_left_out(address: str | None, stored: str | None) -> None:
    token, key = make(make_user())

    assert services.use_access_token(key=key, address=address, at=NOON) == token

    token.refresh_from_db()
    assert (token.last_used_at, token.last_used_ip) == (NOON, stored)


def test_a_use_that_cannot_be_noted_is_a_use(monkeypatch) -> None:
    token, key = make(make_user())

    def fail(_queryset: QuerySet, **_fields: object) -> int:
        raise OperationalError("database is locked")

    monkeypatch.setattr(QuerySet, "update", fail)

    assert services.use_access_token(key=key, address="192.0.2.1", at=NOON) == token
