"""What the health page says of people who guess codes."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts.models import User
from oneapi_admin.health.lines import Line, State
from oneapi_admin.metrics.installation import GAUGES, _read_database
from redemption.services import attacks
from tests.factories import make_root, make_user
from tests.ops.health import tell_all_is_well
from tests.redemption.guessing import guess

URL = "/ops/health/"
TITLE = "Who tried codes in the last hour"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("store")]


def line(client: Client) -> Line:
    [found] = [one for one in client.get(URL).context["report"].lines if one.code == "codes"]
    return found


def test_when_nobody_tried_nothing_is_shown(admin_client: Client) -> None:
    answer = admin_client.get(URL)

    assert TITLE not in answer.text
    assert (line(admin_client).state, line(admin_client).value) == (
        State.OK,
        "no attack; 0 refused in the last hour",
    )


def test_what_was_refused_in_the_last_hour_is_no_trouble(admin_client: Client) -> None:
    now = timezone.now()
    guess(make_user(), 3, at=now)
    guess(make_user(), 3, at=now - timedelta(minutes=61))

    found = line(admin_client)

    assert (found.state, found.value) == (State.OK, "no attack; 3 refused in the last hour")
    assert found.facts == {"attack_since": None, "refused_last_hour": 3, "throttled_last_hour": 0}


def test_an_attack_is_an_error_that_says_how_large_it_is_and_what_to_do(
    admin_client: Client, settings: Settings
) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    now = timezone.now()
    guess(make_user(), 12, at=now)
    attacks.watch(at=now - timedelta(seconds=90))
    attacks.watch(at=now)
    tell_all_is_well()

    found = line(admin_client)
    summary = admin_client.get(f"{URL}summary/").text

    assert found.state == State.ERROR
    assert found.value.startswith(
        "somebody is guessing: 10 refused and 2 throttled, accounts: 1, addresses: 1; noticed 9"
    )
    assert "Disable the accounts below" in found.advice
    assert found.facts["attack_since"] == (now - timedelta(seconds=90)).timestamp()
    assert "Guessing of codes: somebody is guessing" in summary


def test_who_tried_is_listed_most_first(admin_client: Client) -> None:
    now = timezone.now()
    many, few, old, nowhere = make_user(), make_user(), make_user(), make_user()
    guess(few, 2, at=now)
    guess(many, 12, address="2001:db8::1", at=now)
    guess(nowhere, 1, address=None, at=now)
    guess(old, 3, at=now - timedelta(minutes=61))
    attacks.watch(at=now)

    answer = admin_client.get(URL)

    assert [(one.user, one.address, one.refused, one.throttled) for one in answer.context["guessers"]] == [
        (many, "2001:db8::/64", 10, 2),
        (few, "192.0.2.1", 2, 0),
        (nowhere, "", 1, 0),
    ]
    assert TITLE in answer.text
    assert f'href="/ops/users/{many.pk}/"' in answer.text
    assert "2001:db8::/64" in answer.text


def test_twenty_are_listed_and_root_is_not_named_to_others(
    admin_client: Client, root: User, signed_in: Callable[[User], Client]
) -> None:
    now = timezone.now()
    rival = make_root(username="the-owner")
    guess(rival, 2, at=now)
    for number in range(20):
        guess(make_user(), 1, address=f"192.0.2.{number}", at=now)

    seen_by_admin, seen_by_root = admin_client.get(URL), signed_in(root).get(URL)

    assert len(seen_by_admin.context["guessers"]) == 20
    assert "the-owner" not in seen_by_admin.text
    assert "the-owner" in seen_by_root.text


def test_the_list_costs_two_queries_however_long(
    root_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    guess(make_user(), 1, at=now)
    with django_assert_num_queries(100, exact=False) as few:
        root_client.get(URL)
    for number in range(10):
        guess(make_user(), 1, address=f"192.0.2.{number}", at=now)

    with django_assert_num_queries(len(few)):
        root_client.get(URL)


@pytest.mark.django_db(transaction=True)
def test_prometheus_reads_the_same(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    before = _read_database()
    guess(make_user(), 12, at=timezone.now())
    attacks.watch(at=timezone.now())

    after = _read_database()

    names = [name for name in GAUGES if name.startswith("oneapi_code_")]
    assert [before[name] for name in names] == [0, 0, 0]
    assert [after[name] for name in names] == [1, 10, 2]
