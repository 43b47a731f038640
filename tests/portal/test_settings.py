from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import AccessToken, User
from accounts.services import create_access_token, set_language
from oneapi_admin.lib.secrets import key_digest
from tests.factories import make_user
from tests.portal.conftest import HTMX

URL = "/settings/"
LANGUAGE = "/settings/language/"
NEW = "/settings/access-tokens/new/"


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
    response = console.post(NEW, {"name": "report", "expiry": "30"}, headers=HTMX)

    key, token = response.context["key"], AccessToken.objects.get(user=ann)
    assert response.text.count(key) == 1
    assert token.key_hash == key_digest(key)
    assert token.expires_at is not None
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert key not in console.get(URL).text
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "", "expiry": "never"}, "This field is required."),
        ({"name": "n", "expiry": "custom"}, "Enter a date and a time"),
        ({"name": "n", "expiry": "custom", "expires_at": "2020-01-01T00:00"}, "This time has passed"),
    ],
)
def test_an_access_token_that_cannot_be_is_refused_with_the_reason(
    console: Client, fields: dict[str, str], reason: str
) -> None:
    response = console.post(NEW, fields)

    assert response.status_code == 422
    assert reason in response.text
    assert not AccessToken.objects.exists()


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
