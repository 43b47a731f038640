"""Nobody sees a page without signing in, but for the pages named here."""

from collections.abc import Iterator

import pytest
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.regex_helper import normalize

from oneapi_admin.lib.api.problems import MEDIA_TYPE
from tests.factories import make_root, make_user

PUBLIC = {
    "/healthz": "load balancers ask whether the process lives",
    "/readyz": "load balancers ask whether it can serve",
    "/i18n/setlang/": "visitors choose the language of the sign-in page",
    "/accounts/login/": "signing in",
    "/accounts/signup/": "signing up, where the operators opened it",
    "/accounts/inactive/": "tells a disabled person why they cannot sign in",
    "/accounts/confirm-email/": "says that a mail is on its way",
    "/accounts/confirm-email/1/": "the link in a mail, opened before signing in",
    "/accounts/password/reset/": "a forgotten password",
    "/accounts/password/reset/done/": "a forgotten password",
    "/accounts/password/reset/key/1-1/": "a forgotten password: the link in the mail",
    "/accounts/password/reset/key/done/": "a forgotten password",
    "/api/v1/openapi.json": "tells programs how to ask; nothing of what is here",
    "/api/v1/docs": "the same for people",
    "/django-admin/login/": "root signs in",
    "/django-admin/logout/": "leads visitors to that page; there is nothing to sign out of",
}
"""Path, with 1 for every parameter, and why visitors may open it."""

pytestmark = pytest.mark.django_db(transaction=True)


def all_paths(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        regex = prefix + pattern.pattern.regex.pattern.removeprefix("^")
        if isinstance(pattern, URLResolver):
            yield from all_paths(pattern.url_patterns, regex)
        else:
            text, parameters = normalize(regex)[0]
            yield "/" + text % dict.fromkeys(parameters, "1")


def paths() -> list[str]:
    return sorted(set(all_paths(get_resolver().url_patterns)))


def is_closed(response: HttpResponseBase) -> bool:
    logins = (reverse("account_login"), reverse("admin:login"))
    leads_to_login = response.status_code == 302 and response["Location"].startswith(logins)
    is_refused = response.status_code in (401, 405) and response["Content-Type"] == MEDIA_TYPE
    return leads_to_login or is_refused or response.status_code == 404


def test_the_walk_finds_the_pages_of_every_part() -> None:
    assert {"/", "/tokens/", "/tokens/1/", "/ops/users/1/top-up/", "/accounts/login/"} <= set(paths())


@pytest.mark.parametrize("method", ["get", "post"])
def test_visitors_are_sent_to_the_login_or_find_nothing(method: str) -> None:
    make_root()
    visitor = Client()

    answers = {path: getattr(visitor, method)(path) for path in paths() if path not in PUBLIC}

    assert {path: answer.status_code for path, answer in answers.items() if not is_closed(answer)} == {}


def test_ordinary_users_find_no_operators_page() -> None:
    client = Client()
    client.force_login(make_user())

    answers = {
        (method, path): getattr(client, method)(path).status_code
        for path in paths()
        if path.startswith("/ops/")
        for method in ("get", "post")
    }

    assert len(answers) > 40
    assert {key: status for key, status in answers.items() if status != 404} == {}


def test_the_list_of_public_pages_names_no_page_that_is_closed_by_now() -> None:
    make_root()
    visitor = Client()

    closed = [path for path in set(paths()) & set(PUBLIC) if is_closed(visitor.get(path))]

    assert closed == []
