import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import Token, User
from billing.models import TokenQuota
from billing.services import tokens as services
from billing.services.callers import find_caller
from billing.services.calls import settle
from oneapi_admin.lib.secrets import key_digest
from tests.factories import NOON, make_channel, make_token, make_user, settlement
from tests.portal.conftest import HTMX

LIST = "/tokens/"
NEW = "/tokens/new/"
PLAIN: dict[str, Any] = {"name": "plug-in", "limit_kind": "none", "expiry": "never"}


def _spend(made: Any, quota: int) -> None:
    settle(settlements=[settlement(made, make_channel(), quota=quota)], at=NOON)


def test_the_list_shows_each_token_with_its_state(console: Client, ann: User) -> None:
    make_token(ann, name="good")
    services.set_token_status(actor=None, token=make_token(ann, name="off").token, is_enabled=False)
    make_token(ann, name="late", expires_at=NOON - timedelta(days=9000))
    used_up = make_token(ann, name="spent", quota_limit=100)
    _spend(used_up, 100)

    rows = console.get(LIST).context["rows"]

    assert {row.token.name: row.state.value for row in rows} == {
        "good": "working",
        "off": "disabled",
        "late": "expired",
        "spent": "used_up",
    }


@pytest.mark.parametrize("state", ["working", "disabled", "expired", "used_up"])
def test_the_filter_by_state_agrees_with_the_state_that_is_shown(
    console: Client, ann: User, state: str
) -> None:
    make_token(ann)
    make_token(ann, quota_limit=0)
    make_token(ann, quota_limit=0, expires_at=NOON - timedelta(days=9000))
    services.set_token_status(actor=None, token=make_token(ann, quota_limit=0).token, is_enabled=False)

    rows = console.get(LIST, {"state": state}).context["rows"]

    assert [row.state.value for row in rows] == [state]


def test_the_search_finds_a_part_of_the_name(console: Client, ann: User) -> None:
    make_token(ann, name="translation plug-in")
    make_token(ann, name="nightly batch")

    rows = console.get(LIST, {"q": "PLUG"}).context["rows"]

    assert [row.token.name for row in rows] == ["translation plug-in"]


def test_the_list_has_only_ones_own_tokens(console: Client) -> None:
    make_token(make_user(), name="theirs")

    response = console.get(LIST)

    assert response.context["rows"] == []
    assert "No tokens yet" in response.text


def test_the_list_shows_the_user_quota_beside_the_limits(console: Client) -> None:
    assert "<strong>$10.00</strong> is available" in console.get(LIST).text


def test_the_list_takes_the_same_queries_for_one_and_for_thirty_tokens(
    console: Client, ann: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        make_token(ann, name=f"token {number}")

    with django_assert_max_num_queries(5):
        console.get(LIST)


def test_long_lists_go_on_by_cursor_without_gap_or_repeat(console: Client, ann: User) -> None:
    made = [make_token(ann).token.pk for _ in range(52)]

    first = console.get(LIST)
    second = console.get(LIST, {"cursor": first.context["next_cursor"]})

    shown = [row.token.pk for answer in (first, second) for row in answer.context["rows"]]
    assert shown == sorted(made, reverse=True)


def test_a_created_token_shows_its_key_this_once(console: Client, ann: User) -> None:
    response = console.post(NEW, PLAIN)

    token = Token.objects.get(user=ann)
    key = response.context["key"]
    assert response.status_code == 200
    assert key.startswith("sk-")
    assert response.text.count(key) == 1
    assert "no-store" in response.headers["Cache-Control"]
    assert key not in console.get(LIST).text
    assert key not in console.get(reverse("portal:token-edit", args=[token.pk])).text


def test_the_key_works(console: Client) -> None:
    key = console.post(NEW, PLAIN).context["key"]
    digest = key_digest(key.removeprefix("sk-"))

    assert find_caller(key_hash=digest).username == "ann"


def test_in_the_slide_over_the_key_comes_alone_and_the_list_is_told(console: Client) -> None:
    response = console.post(NEW, PLAIN, headers=HTMX)

    assert "<html" not in response.text
    assert response.context["key"] in response.text
    assert json.loads(response.headers["HX-Trigger"]) == {"list-changed": {}}


def test_everything_said_of_a_token_is_kept(console: Client, ann: User) -> None:
    make_channel(models=["gpt-4o", "gpt-4.1"])

    console.post(
        NEW,
        {
            "name": "all of it",
            "limit_kind": "amount",
            "quota_limit": "$0.000002",
            "expiry": "7",
            "chosen_models": ["gpt-4o"],
            "other_models": "my-model\n\n  gpt-4o ",
            "networks": "203.0.113.0/24\n2001:db8::1",
        },
    )

    token = Token.objects.select_related("quota").get(user=ann)
    assert token.quota.quota_limit == 1
    assert token.allowed_models == ["gpt-4o", "my-model"]
    assert token.allowed_networks == ["203.0.113.0/24", "2001:db8::1"]
    assert token.expires_at is not None
    assert timedelta(days=6, hours=23) < token.expires_at - timezone.now() <= timedelta(days=7)


def test_a_limit_of_zero_is_possible(console: Client, ann: User) -> None:
    console.post(NEW, {**PLAIN, "limit_kind": "amount", "quota_limit": "0"})

    assert TokenQuota.objects.get(token__user=ann).quota_limit == 0


def test_an_amount_left_over_from_another_choice_does_not_matter(console: Client, ann: User) -> None:
    console.post(NEW, {**PLAIN, "quota_limit": "rubbish", "expires_at": "rubbish"})

    token = Token.objects.select_related("quota").get(user=ann)
    assert (token.quota.quota_limit, token.expires_at) == (None, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "x" * 65}, "at most 64 characters"),
        ({"limit_kind": "amount"}, "Enter an amount, or choose no limit."),
        ({"limit_kind": "amount", "quota_limit": "-1"}, "A limit cannot be below 0."),
        ({"limit_kind": "amount", "quota_limit": "five"}, "Enter a number such as 5 or 12.50."),
        ({"limit_kind": "amount", "quota_limit": "0.000001"}, "finer than one quota unit"),
        ({"limit_kind": "amount", "quota_limit": "18014398509.481984"}, "The largest amount is $18,014,398"),
        ({"limit_kind": "amount", "quota_limit": "NaN"}, "Enter a number such as 5 or 12.50."),
        ({"expiry": "custom"}, "Enter a date and a time"),
        ({"expiry": "custom", "expires_at": "2020-01-01T00:00"}, "This time has passed"),
        ({"expiry": "custom", "expires_at": "soon"}, "Enter a valid date/time."),
        ({"expiry": "8"}, "Select a valid choice"),
        ({"networks": "10.0.0.0/8\nnowhere"}, "Line 2: “nowhere” is not an IP address"),
        ({"networks": "\n10.1.2.3/8"}, "Line 2: “10.1.2.3/8” is an address inside a network."),
        ({"other_models": "ok\n" + "m" * 129}, "Line 2 is longer than"),
        ({"chosen_models": ["no-such-model"]}, "Select a valid choice"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_reason(
    console: Client, ann: User, change: dict[str, Any], reason: str
) -> None:
    response = console.post(NEW, {**PLAIN, **change}, headers=HTMX)

    errors = [str(error) for errors in response.context["form"].errors.values() for error in errors]
    assert response.status_code == 422
    assert any(reason in error for error in errors), errors
    assert not Token.objects.filter(user=ann).exists()


def test_a_changed_token_keeps_its_key_and_what_it_used(console: Client, ann: User) -> None:
    made = make_token(ann, quota_limit=1000)
    _spend(made, 400)

    response = console.post(
        reverse("portal:token-edit", args=[made.token.pk]),
        {**PLAIN, "name": "new name", "limit_kind": "amount", "quota_limit": "0.01"},
    )

    token = Token.objects.select_related("quota").get(pk=made.token.pk)
    assert (response.status_code, response.headers["Location"]) == (302, LIST)
    assert (token.name, token.key_hash) == ("new name", made.key_hash)
    assert (token.quota.quota_limit, token.quota.used_quota) == (5000, 400)


def test_sending_the_edit_form_as_it_came_changes_nothing(console: Client, ann: User) -> None:
    make_channel(models=["gpt-4o"])
    expired = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    token = make_token(
        ann,
        name="as it was",
        quota_limit=123_457,
        expires_at=expired,
        allowed_models=["gpt-4o", "else"],
        allowed_networks=["10.0.0.0/8"],
    ).token
    url = reverse("portal:token-edit", args=[token.pk])

    form = console.get(url).context["form"]
    sent = {field.name: field.value() for field in form if field.value() is not None}
    sent["expires_at"] = "2024-05-06T07:08:09"
    response = console.post(url, sent)

    assert response.status_code == 302
    before = (token.name, token.expires_at, token.allowed_models, token.allowed_networks)
    token.refresh_from_db()
    assert (token.name, token.expires_at, token.allowed_models, token.allowed_networks) == before
    assert token.quota.quota_limit == 123_457


def test_after_a_change_in_the_slide_over_it_closes_and_the_list_is_told(console: Client, ann: User) -> None:
    token = make_token(ann).token

    response = console.post(reverse("portal:token-edit", args=[token.pk]), PLAIN, headers=HTMX)

    events = json.loads(response.headers["HX-Trigger"])
    assert response.status_code == 204
    assert set(events) == {"slideover:close", "list-changed", "toast"}


def test_a_wrong_edit_is_refused_and_changes_nothing(console: Client, ann: User) -> None:
    token = make_token(ann, name="before").token

    response = console.post(reverse("portal:token-edit", args=[token.pk]), {**PLAIN, "networks": "x"})

    assert response.status_code == 422
    token.refresh_from_db()
    assert token.name == "before"


def test_a_token_is_disabled_and_enabled_again(console: Client, ann: User) -> None:
    token = make_token(ann).token
    url = reverse("portal:token-status", args=[token.pk])

    console.post(url, {"is_enabled": "0"})
    token.refresh_from_db()
    disabled = token.status
    console.post(url, {"is_enabled": "1"})
    token.refresh_from_db()

    assert (disabled, token.status) == ("disabled", "enabled")


def test_a_deleted_token_is_gone_and_its_usage_stays(console: Client, ann: User) -> None:
    made = make_token(ann, name="short-lived")
    _spend(made, 70)

    console.post(reverse("portal:token-delete", args=[made.token.pk]))

    assert not Token.objects.filter(pk=made.token.pk).exists()
    assert "short-lived" in console.get(reverse("portal:usage")).text


def test_the_question_before_deleting_says_what_happens(console: Client, ann: User) -> None:
    make_token(ann, name="<b>bold</b>")

    text = console.get(LIST).text

    assert "Programs that use its key are refused from the next call on." in text
    assert "<b>bold</b>" not in text
