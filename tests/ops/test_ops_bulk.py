from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.models import BulkTopUp
from billing.services.bulk import TopUp, top_up_many
from billing.services.calls import settle
from tests.factories import NOON, balance_of, make_channel, make_token, make_user, settlement

LIST = "/ops/bulk-top-ups/"


def fields(**more: str) -> dict[str, str]:
    return {"key": str(uuid4()), "memo": "m", **more}


@pytest.fixture
def run(admin: User, person: User) -> BulkTopUp:
    """$0.002 for each of two, of whom the first had as much and has spent all but half of what came."""
    other = make_user()
    items = [TopUp(user_id=user.pk, quota=1_000) for user in (person, other)]
    top_up_many(actor=admin, items=items, memo="payday", at=NOON)
    settle(settlements=[settlement(make_token(person), make_channel(), quota=1_500)], at=NOON)
    return BulkTopUp.objects.get()


def test_a_run_is_listed_until_it_is_undone(admin_client: Client, run: BulkTopUp, person: User) -> None:
    url = reverse("ops:ledger-bulk-undo", args=[run.pk])
    before = admin_client.get(LIST).text
    looked = admin_client.get(url).context

    done = admin_client.post(url, fields(allow_partial="on"), headers={"HX-Request": "true"})
    after = admin_client.get(LIST).text

    assert "payday" in before
    assert url in before
    assert [looked[f"{part}_total"] for part in ("full", "part")] == [1_000, 500]
    assert [looked[f"{part}_count"] for part in ("full", "part", "done", "refused")] == [1, 1, 2, 0]
    assert looked["shortfall"] == 500
    assert "$0.003 were taken back" in done.text
    assert "list-changed" in done.headers["HX-Trigger"]
    assert balance_of(person) == 0
    assert url not in after
    assert "2 of 2" in after


def test_what_is_spent_stays_unless_it_is_said_otherwise(
    admin_client: Client, run: BulkTopUp, person: User
) -> None:
    url = reverse("ops:ledger-bulk-undo", args=[run.pk])

    silent = admin_client.post(url, fields(memo=""))
    done = admin_client.post(url, fields())

    assert silent.status_code == 422
    assert "1 top-up was reversed" in done.text
    assert "1 top-up was not reversed" in done.text
    assert "only a part is there" in done.text
    assert balance_of(person) == 500


def test_what_was_taken_back_before_is_not_told_as_refused(admin_client: Client, run: BulkTopUp) -> None:
    url = reverse("ops:ledger-bulk-undo", args=[run.pk])
    admin_client.post(url, fields())

    looked = admin_client.get(url).context
    done = admin_client.post(url, fields(allow_partial="on")).text
    again = admin_client.post(url, fields(allow_partial="on")).text

    assert [looked[f"{part}_count"] for part in ("before", "full", "part")] == [1, 0, 1]
    assert "$0.001 were taken back" in done
    assert "not reversed" not in done
    assert "Everything was taken back before" in again


def test_the_list_costs_the_same_number_of_queries_however_long(
    admin_client: Client, admin: User, person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(5):
        top_up_many(actor=admin, items=[TopUp(user_id=person.pk, quota=1)], at=NOON)

    with django_assert_num_queries(3):
        admin_client.get(LIST)
