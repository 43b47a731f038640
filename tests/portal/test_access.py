"""What holds for every page of a person: visitors sign in first, and only the right methods are answered."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AccessToken, User
from accounts.services.access_tokens import create_access_token
from tests.factories import make_token, make_user

READ_ONLY = ["overview", "tokens", "usage", "usage-export", "statement", "statement-export", "alerts"]
FORMS = ["token-create", "redeem", "settings", "access-token-create"]
FORMS += ["alerts-rule-create", "alerts-destination-create"]
ACTIONS = ["settings-language", "alerts-first-rule"]
ROW_ACTIONS = ["token-status", "token-delete", "access-token-revoke"]
ROW_ACTIONS += [
    "alerts-rule-status",
    "alerts-rule-delete",
    "alerts-destination-test",
    "alerts-destination-delete",
]
ROWS = ["token-edit", "usage-detail", "access-token-rotate", "alerts-one", "alerts-rule-edit", *ROW_ACTIONS]


@pytest.mark.parametrize("name", [*READ_ONLY, *FORMS])
def test_a_visitor_signs_in_first(client: Client, db: None, name: str) -> None:
    url = reverse(f"portal:{name}")

    response = client.get(url)

    assert response.status_code == 302
    assert response.headers["Location"] == f"/accounts/login/?next={url}"


@pytest.mark.parametrize("name", [*ACTIONS, *FORMS])
def test_a_visitor_changes_nothing(client: Client, db: None, name: str) -> None:
    response = client.post(reverse(f"portal:{name}"))

    assert response.headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("name", ROWS)
def test_a_visitor_reaches_no_row(client: Client, db: None, name: str) -> None:
    response = client.post(reverse(f"portal:{name}", args=[1]))

    assert response.headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("name", READ_ONLY)
def test_a_page_that_is_only_read_takes_no_post(console: Client, name: str) -> None:
    assert console.post(reverse(f"portal:{name}")).status_code == 405


@pytest.mark.parametrize("name", FORMS)
def test_a_form_takes_no_delete(console: Client, name: str) -> None:
    assert console.delete(reverse(f"portal:{name}")).status_code == 405


@pytest.mark.parametrize("name", ROW_ACTIONS)
def test_an_action_takes_no_get(console: Client, name: str) -> None:
    assert console.get(reverse(f"portal:{name}", args=[1])).status_code == 405


@pytest.mark.parametrize("name", ACTIONS)
def test_what_only_changes_takes_no_get(console: Client, name: str) -> None:
    assert console.get(reverse(f"portal:{name}")).status_code == 405


@pytest.mark.parametrize("name", ["token-edit", "token-status", "token-delete"])
def test_another_persons_token_is_not_found_and_stays(console: Client, name: str) -> None:
    theirs = make_token(make_user(), name="theirs").token

    response = console.post(reverse(f"portal:{name}", args=[theirs.pk]), {"name": "mine now"})

    assert response.status_code == 404
    theirs.refresh_from_db()
    assert (theirs.name, theirs.status) == ("theirs", "enabled")


@pytest.mark.parametrize("name", ["access-token-revoke", "access-token-rotate"])
def test_another_persons_access_token_is_not_found_and_stays(console: Client, name: str) -> None:
    theirs, _key = create_access_token(actor=None, scopes=["read"], user=make_user(), name="theirs")

    response = console.post(reverse(f"portal:{name}", args=[theirs.pk]), {"grace": "0"})

    assert response.status_code == 404
    assert AccessToken.objects.get(pk=theirs.pk).key_hash == theirs.key_hash


def test_a_post_without_a_csrf_token_is_refused(ann: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann)

    response = client.post(reverse("portal:redeem"), {"code": "1"})

    assert response.status_code == 403
