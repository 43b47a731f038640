from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import AccessToken, Scope, User
from accounts.services.access_tokens import create_access_token, use_access_token
from accounts.services.users import set_language
from oneapi_admin.lib.secrets import key_digest
from tests.factories import NOON, make_admin, make_root, make_user
from tests.portal.conftest import HTMX

URL = "/settings/"
LANGUAGE = "/settings/language/"
NEW = "/settings/access-tokens/new/"


def _rotation(token: AccessToken) -> str:
    return f"/settings/access-tokens/{token.pk}/rotate/"


def test_the_display_name_is_changed(console: Client, ann: User) -> None:
    response = console.post(URL, {"display_name": "Ann Lee"}, follow=True)

    ann.refresh_from_db()
    assert ann.display_name == "Ann Lee"
    assert "Your settings were saved." in response.text


def test_a_name_that_is_too_long_is_refused_with_the_reason(console: Client, ann: User) -> None:
    response = console.post(URL, {"display_name": "x" * 65})

    ann.refresh_from_db()
    assert response.status_code == 422
    assert "at most 64 characters" in response.text
    assert ann.display_name == ""


@pytest.mark.parametrize(("chosen", "stored"), [("zh-hans", "zh-hans"), ("en", "en"), ("browser", "")])
def test_the_language_is_stored_with_the_person(console: Client, ann: User, chosen: str, stored: str) -> None:
    set_language(user=ann, language="en")

    response = console.post(LANGUAGE, {"language": chosen})

    ann.refresh_from_db()
    assert (response.status_code, ann.language) == (302, stored)


def test_the_next_page_speaks_the_chosen_language(console: Client) -> None:
    console.post(LANGUAGE, {"language": "zh-hans"})

    assert '<html lang="zh-hans"' in console.get(URL, headers={"Accept-Language": "en"}).text


def test_the_browsers_language_stands_above_an_earlier_choice_in_the_top_bar(console: Client) -> None:
    console.post("/i18n/setlang/", {"language": "zh-hans", "next": URL})

    console.post(LANGUAGE, {"language": "browser"})

    assert '<html lang="en"' in console.get(URL, headers={"Accept-Language": "en"}).text


def test_an_unknown_language_is_refused(console: Client, ann: User) -> None:
    response = console.post(LANGUAGE, {"language": "xx"})

    ann.refresh_from_db()
    assert (response.status_code, ann.language) == (422, "")


def test_the_switch_in_the_top_bar_is_remembered_with_the_person(console: Client, ann: User) -> None:
    response = console.post("/i18n/setlang/", {"language": "zh-hans", "next": "/usage/"})

    ann.refresh_from_db()
    assert (response.headers["Location"], ann.language) == ("/usage/", "zh-hans")


def test_the_switch_in_the_top_bar_keeps_no_language_that_is_not_offered(console: Client, ann: User) -> None:
    console.post("/i18n/setlang/", {"language": "xx"})

    ann.refresh_from_db()
    assert ann.language == ""


def test_a_visitor_switches_the_language_by_cookie(client: Client, db: None) -> None:
    response = client.post("/i18n/setlang/", {"language": "zh-hans", "next": "/accounts/login/"})

    assert response.cookies["django_language"].value == "zh-hans"


def test_the_switch_leads_to_no_other_site(console: Client) -> None:
    response = console.post("/i18n/setlang/", {"language": "en", "next": "https://evil.example/"})

    assert response.headers["Location"] == "/"


def test_an_access_token_is_shown_once(console: Client, ann: User) -> None:
    chosen = {"name": "report", "scopes": ["read", "redeem"], "expiry": "30"}

    response = console.post(NEW, chosen, headers=HTMX)

    key, token = response.context["key"], AccessToken.objects.get(user=ann)
    assert response.text.count(key) == 1
    assert (token.key_hash, token.scopes) == (key_digest(key), ["read", "redeem"])
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert key not in console.get(URL).text
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "This field is required."),
        ({"expiry": "custom"}, "Enter a date and a time"),
        ({"expiry": "custom", "expires_at": "2020-01-01T00:00"}, "This time has passed"),
        ({"scopes": []}, "Choose at least one scope."),
        ({"scopes": ["read", "topup"]}, "topup is not one of the available choices."),
    ],
)
def test_an_access_token_that_cannot_be_is_refused_with_the_reason(
    console: Client, fields: dict[str, str], reason: str
) -> None:
    response = console.post(NEW, {"name": "n", "scopes": ["read"], "expiry": "never", **fields})

    assert response.status_code == 422
    assert reason in response.text
    assert not AccessToken.objects.exists()


@pytest.mark.parametrize(
    ("make_person", "offered"),
    [
        (make_user, ["read", "tokens", "redeem", "admin"]),
        (make_admin, Scope.values),
        (make_root, Scope.values),
    ],
)
def test_scopes_of_use_to_operators_are_offered_to_them_only(
    client: Client, db: None, make_person: Callable[[], User], offered: list[str]
) -> None:
    client.force_login(make_person())

    form = client.get(NEW).context["form"]

    assert [value for value, _label in form.fields["scopes"].choices] == offered
    assert form["scopes"].value() == ["read"]


def test_the_list_tells_what_a_token_may_and_who_used_it_last(console: Client, ann: User) -> None:
    _token, key = create_access_token(
        actor=None, scopes=["read", "redeem"], user=ann, name="report", expires_at=NOON + timedelta(days=1)
    )
    use_access_token(key=key, address="203.0.113.9", at=NOON)

    text = console.get(URL).text

    assert "<code>read</code></li><li><code>redeem</code>" in text
    assert "203.0.113.9" in text
    assert "Expired" in text


@pytest.mark.parametrize(
    ("grace", "lasts"),
    [("1", timedelta(hours=1)), ("24", timedelta(hours=24)), ("168", timedelta(days=7))],
)
def test_a_rotated_access_token_has_a_new_key_and_the_old_one_works_through_its_grace(
    console: Client, ann: User, grace: str, lasts: timedelta
) -> None:
    token, old = create_access_token(actor=None, scopes=["read"], user=ann, name="report")
    before = timezone.now()

    response = console.post(_rotation(token), {"grace": grace}, headers=HTMX)

    new = response.context["key"]
    token.refresh_from_db()
    assert (token.key_hash, token.previous_key_hash) == (key_digest(new), key_digest(old))
    assert before + lasts <= token.previous_expires_at <= timezone.now() + lasts
    assert response.text.count(new) == 1
    assert "The old one goes on working until:" in response.text
    assert "list-changed" in response.headers["HX-Trigger"]
    assert "no-store" in response.headers["Cache-Control"]
    assert "Old key works until" in console.get(URL).text


def test_without_a_grace_the_old_key_stops_at_once(console: Client, ann: User) -> None:
    token, old = create_access_token(actor=None, scopes=["read"], user=ann, name="report")

    response = console.post(_rotation(token), {"grace": "0"})

    assert use_access_token(key=old, address=None, at=timezone.now()) is None
    assert use_access_token(key=response.context["key"], address=None, at=timezone.now()) == token
    assert "The old one does not work any more." in response.text
    assert "Old key works until" not in console.get(URL).text


def test_the_form_warns_of_a_key_that_a_second_rotation_stops(console: Client, ann: User) -> None:
    token, _key = create_access_token(actor=None, scopes=["read"], user=ann, name="report")
    first = console.get(_rotation(token)).text

    console.post(_rotation(token), {"grace": "1"})

    assert "It stops now" not in first
    assert "It stops now" in console.get(_rotation(token)).text


@pytest.mark.parametrize("grace", ["", "2", "-1", "x"])
def test_a_grace_that_is_not_offered_is_refused(console: Client, ann: User, grace: str) -> None:
    token, _key = create_access_token(actor=None, scopes=["read"], user=ann, name="report")

    response = console.post(_rotation(token), {"grace": grace})

    assert response.status_code == 422
    assert AccessToken.objects.get().key_hash == token.key_hash


def test_a_revoked_access_token_is_gone(console: Client, ann: User) -> None:
    token, _key = create_access_token(actor=None, scopes=["read"], user=ann, name="report")

    response = console.post(f"/settings/access-tokens/{token.pk}/revoke/", follow=True)

    assert not AccessToken.objects.exists()
    assert "Access token “report” was revoked." in response.text


def test_only_ones_own_access_tokens_are_listed(console: Client, ann: User) -> None:
    create_access_token(actor=None, scopes=["read"], user=ann, name="mine")
    create_access_token(actor=None, scopes=["read"], user=make_user(), name="theirs")

    assert [token.name for token in console.get(URL).context["access_tokens"]] == ["mine"]


def test_the_list_takes_few_queries(
    console: Client, ann: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        create_access_token(actor=None, scopes=["read"], user=ann, name=str(number))

    with django_assert_max_num_queries(4):
        console.get(URL)
