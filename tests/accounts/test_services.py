"""Creating and changing people, and who may do it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.db import connection, connections
from django.test import RequestFactory

from accounts.adapter import AccountAdapter
from accounts.models import AccessToken, Role, SiteSettings, User, UserStatus
from accounts.services import access_tokens, site, users
from accounts.services.permissions import PermissionDeniedError
from accounts.services.users import EmailTakenError, LastRootError, UsernameTakenError
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.secrets import key_digest
from tests.factories import NOON, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def create(actor: User | None, **fields) -> User:
    return users.create_user(actor=actor, **{"username": "ada", "password": "a long pass phrase", **fields})


def update(actor: User, user: User, **fields) -> User:
    names = ("display_name", "email", "role", "group", "status")
    return users.update_user(
        actor=actor, user=user, **{**{name: getattr(user, name) for name in names}, **fields}
    )


def test_a_new_person_can_sign_in_and_their_password_is_stored_nowhere() -> None:
    create(make_root(), email="ada@example.com", display_name="Ada", group="vip", language="zh-hans")

    stored = User.objects.get(username="ada")
    assert authenticate(username="ada", password="a long pass phrase") == stored
    assert "pass phrase" not in stored.password
    assert (stored.role, stored.status, stored.group) == ("user", "enabled", "vip")
    assert (stored.email, stored.display_name, stored.language) == ("ada@example.com", "Ada", "zh-hans")


def test_a_person_without_a_password_cannot_sign_in() -> None:
    user = create(make_root(), password=None)

    assert not user.has_usable_password()


@pytest.mark.parametrize("role", [Role.USER, Role.ADMIN, Role.ROOT])
def test_root_and_the_first_start_create_anyone(role: str) -> None:
    assert create(make_root(), role=role).role == role
    assert create(None, username="first", role=role).role == role


def test_an_administrator_creates_ordinary_users_only() -> None:
    admin = make_admin()

    assert create(admin).role == Role.USER
    for role in (Role.ADMIN, Role.ROOT):
        with pytest.raises(PermissionDeniedError):
            create(admin, username="eve", role=role)
    assert not User.objects.filter(username="eve").exists()


def test_an_ordinary_user_creates_nobody() -> None:
    with pytest.raises(PermissionDeniedError):
        create(make_user())


@pytest.mark.parametrize("username", ["ada", "ADA", "aDa"])
def test_a_name_is_taken_in_every_case(username: str) -> None:
    root = make_root()
    create(root)

    with pytest.raises(UsernameTakenError):
        create(root, username=username)

    assert User.objects.filter(username__iexact="ada").count() == 1


def test_an_address_is_taken_in_every_case_and_none_at_all_is_not() -> None:
    root = make_root()
    create(root, email="ada@example.com")
    create(root, username="no-address")
    create(root, username="no-address-either")

    with pytest.raises(EmailTakenError):
        create(root, username="eve", email="Ada@Example.com")


@pytest.mark.parametrize(
    "fields",
    [
        {"username": ""},
        {"username": "a b"},
        {"username": "a\n"},
        {"username": "a@b"},
        {"username": "u" * 65},
        {"username": "a\0"},
        {"email": "not an address"},
        {"email": "a" * 250 + "@example.com"},
        {"group": ""},
        {"group": "VIP"},
        {"group": "a b"},
        {"group": "vip\n"},
        {"group": "g" * 33},
        {"role": "emperor"},
        {"display_name": "d" * 65},
        {"language": "x" * 11},
    ],
)
def test_a_field_that_is_not_valid_is_named(fields) -> None:
    with pytest.raises(ValidationError) as refusal:
        create(make_root(), **fields)

    assert list(refusal.value.message_dict) == list(fields)
    assert User.objects.count() == 1


@pytest.mark.parametrize("username", ["a", "用户", "a.b+c-d_e", "u" * 64])
def test_names_in_any_script_are_taken(username: str) -> None:
    assert create(make_root(), username=username).username == username


def test_an_update_writes_the_details_and_nothing_else() -> None:
    root, user = make_root(), make_user(username="ada", language="en")
    password = user.password

    update(root, user, display_name="A", email="a@example.com", role="admin", group="vip", status="disabled")

    stored = User.objects.get(pk=user.pk)
    assert (stored.display_name, stored.email, stored.role) == ("A", "a@example.com", "admin")
    assert (stored.group, stored.status) == ("vip", "disabled")
    assert (stored.username, stored.password, stored.language) == ("ada", password, "en")
    assert not stored.is_active


def test_an_administrator_updates_ordinary_users_and_no_operator() -> None:
    root, admin = make_root(), make_admin()

    assert update(admin, make_user(), group="vip").group == "vip"
    for person in (admin, make_admin(), root):
        with pytest.raises(PermissionDeniedError):
            update(admin, person, display_name="changed")

    assert not User.objects.filter(display_name="changed").exists()


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ROOT])
def test_only_root_gives_roles(role: str) -> None:
    user = make_user()

    with pytest.raises(PermissionDeniedError):
        update(make_admin(), user, role=role)

    assert update(make_root(), user, role=role).role == role


def test_a_page_that_is_out_of_date_gives_an_administrator_no_power_over_a_new_operator() -> None:
    root, admin, user = make_root(), make_admin(), make_user()
    seen_before = User.objects.get(pk=user.pk)
    update(root, user, role=Role.ADMIN)

    with pytest.raises(PermissionDeniedError):
        update(admin, seen_before, display_name="changed")


def test_an_ordinary_user_updates_nobody_not_even_themselves() -> None:
    user = make_user()

    for person in (user, make_user()):
        with pytest.raises(PermissionDeniedError):
            update(user, person, group="vip")


@pytest.mark.parametrize(
    "change", [{"role": "admin"}, {"status": "disabled"}, {"status": "deleted"}, {"role": "user"}]
)
def test_the_last_enabled_root_stays(change) -> None:
    root = make_root()
    disabled = make_root()
    User.objects.filter(pk=disabled.pk).update(status=UserStatus.DISABLED)

    with pytest.raises(LastRootError):
        update(root, root, **change)

    stored = User.objects.get(pk=root.pk)
    assert (stored.role, stored.status) == ("root", "enabled")


def test_one_of_two_roots_may_step_down() -> None:
    root, other = make_root(), make_root()

    assert update(root, other, role=Role.USER).role == "user"
    with pytest.raises(LastRootError):
        update(root, root, status=UserStatus.DISABLED)


def test_two_roots_who_remove_each_other_at_once_leave_one() -> None:
    outcomes = []

    for _ in range(15):
        User.objects.update(status=UserStatus.DISABLED)
        outcomes.append(_removals_at_once(make_root(), make_root()))
        assert User.objects.filter(role=Role.ROOT, status=UserStatus.ENABLED).count() == 1

    assert all(sorted(pair) == ["last_root", "removed"] for pair in outcomes)


def _removals_at_once(first: User, second: User) -> list[str]:
    start = threading.Barrier(2)

    def remove(actor: User, user: User) -> str:
        try:
            connection.ensure_connection()
            start.wait(20)
            update(actor, user, role=Role.USER)
        except DomainError as refusal:
            return refusal.code
        finally:
            connections.close_all()
        return "removed"

    with ThreadPoolExecutor(2) as pool:
        removals = [pool.submit(remove, first, second), pool.submit(remove, second, first)]
        return [removal.result() for removal in removals]


def test_an_update_that_is_not_valid_changes_nothing() -> None:
    root, user = make_root(), make_user()
    other = make_user(email="taken@example.com")

    with pytest.raises(EmailTakenError):
        update(root, user, display_name="changed", email="TAKEN@example.com")
    for fields in ({"group": "A B"}, {"status": "gone"}, {"role": "emperor"}):
        with pytest.raises(ValidationError):
            update(root, user, display_name="changed", **fields)

    assert not User.objects.filter(display_name="changed").exists()
    assert other.email == "taken@example.com"


def test_a_deleted_person_is_out_of_reach_and_their_name_stays_taken() -> None:
    root, user = make_root(), make_user(username="ada")
    update(root, user, status=UserStatus.DELETED)

    with pytest.raises(PermissionDeniedError):
        update(root, user, status=UserStatus.ENABLED)
    with pytest.raises(PermissionDeniedError):
        users.set_password(actor=root, user=user, password="a new pass phrase")
    with pytest.raises(UsernameTakenError):
        create(root)

    assert authenticate(username="ada", password="a long pass phrase") is None
    assert not User.objects.visible_to(root).filter(pk=user.pk).exists()


def test_nobody_below_root_sees_root() -> None:
    root, admin, user = make_root(), make_admin(), make_user()

    seen = [set(User.objects.visible_to(actor).values_list("pk", flat=True)) for actor in (root, admin, user)]

    assert seen == [{root.pk, admin.pk, user.pk}, {admin.pk, user.pk}, {user.pk}]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ad", ["ada"]),
        ("ADA", ["ada"]),
        ("grace@", ["grace"]),
        ("Countess", ["ada"]),
        ("da", []),
        ("9" * 30, []),
    ],
)
def test_people_are_found_by_the_beginning_of_what_is_known(text: str, found: list[str]) -> None:
    make_user(username="ada", display_name="Countess of Lovelace", email="lovelace@example.com")
    make_user(username="grace", email="grace@example.com")

    assert list(User.objects.search(text).values_list("username", flat=True)) == found


def test_people_are_found_by_their_number() -> None:
    user = make_user(username="ada")

    assert list(User.objects.search(str(user.pk))) == [user]


def test_a_new_password_works_and_the_old_one_does_not() -> None:
    user = make_user(username="ada")

    users.set_password(actor=make_admin(), user=user, password="another pass phrase")

    assert authenticate(username="ada", password="another pass phrase") == user
    assert authenticate(username="ada", password="a long pass phrase") is None


@pytest.mark.parametrize("make_person", [make_admin, make_root])
def test_an_administrator_sets_no_operators_password(make_person) -> None:
    person = make_person()

    with pytest.raises(PermissionDeniedError):
        users.set_password(actor=make_admin(), user=person, password="another pass phrase")

    assert User.objects.get(pk=person.pk).check_password("a long pass phrase")


def test_operators_open_and_close_the_sign_up() -> None:
    request = RequestFactory().get("/accounts/signup/")
    seen = [AccountAdapter(request).is_open_for_signup(request)]

    for actor, is_open in ((make_admin(), True), (make_root(), False)):
        site.set_signup_open(actor=actor, is_open=is_open)
        seen.append(AccountAdapter(request).is_open_for_signup(request))

    assert seen == [False, True, False]


def test_others_do_not_open_the_sign_up() -> None:
    with pytest.raises(PermissionDeniedError):
        site.set_signup_open(actor=make_user(), is_open=True)

    assert not SiteSettings.objects.get().is_signup_open


def test_a_management_key_is_shown_once_and_stored_as_a_hash() -> None:
    token, key = access_tokens.create_access_token(
        actor=None, scopes=["read"], user=make_user(), name="report", expires_at=NOON
    )

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_accesstoken")
        stored = str(cursor.fetchall())
    assert key.startswith("oa-")
    assert key not in stored
    assert key[6:-4] not in stored
    assert AccessToken.objects.get(key_hash=key_digest(key)) == token
    assert token.key_prefix == f"{key[:6]}…{key[-4:]}"


def test_a_revoked_management_key_is_gone() -> None:
    token, _key = access_tokens.create_access_token(
        actor=None, scopes=["read"], user=make_user(), name="report"
    )

    access_tokens.revoke_access_token(actor=None, token=token)

    assert not AccessToken.objects.exists()


@pytest.mark.parametrize("name", ["", "n" * 65])
def test_a_management_key_needs_a_name(name: str) -> None:
    with pytest.raises(ValidationError):
        access_tokens.create_access_token(actor=None, scopes=["read"], user=make_user(), name=name)


def test_a_display_name_and_a_language_are_a_persons_own() -> None:
    user = make_user(username="ada")

    users.set_display_name(user=user, display_name="伯爵夫人")
    users.set_language(user=user, language="zh-hans")

    stored = User.objects.get(pk=user.pk)
    assert (stored.name, stored.language) == ("伯爵夫人", "zh-hans")
    users.set_display_name(user=user, display_name="")
    assert User.objects.get(pk=user.pk).name == "ada"
    with pytest.raises(ValidationError):
        users.set_display_name(user=user, display_name="d" * 65)
