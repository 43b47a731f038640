import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.services import accounts
from tests.factories import NOON, make_root, make_user

URL = "/ops/ledger/"


def amounts(client: Client, **query: Any) -> list[int]:
    return [entry.amount for entry in client.get(URL, query).context["page"].items]


def exported(client: Client, **query: Any) -> list[list[str]]:
    stream: Iterator[bytes] = client.get(reverse("ops:ledger-export"), query).streaming_content  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(b"".join(stream).decode("utf-8-sig"))))


def test_root_sees_every_entry_newest_first(root_client: Client, root: User) -> None:
    make_user(balance=1)
    accounts.top_up(actor=root, user=root, quota=2, at=NOON)

    assert amounts(root_client) == [2, 1]


def test_an_administrator_sees_no_entry_of_root_and_root_only_as_a_role(admin_client: Client) -> None:
    root = make_root(username="the-hidden-root", balance=7)
    accounts.top_up(actor=root, user=make_user(), quota=3, at=NOON)

    content = admin_client.get(URL).content.decode()

    assert amounts(admin_client) == [3]
    assert "the-hidden-root" not in content
    assert [row[8] for row in exported(admin_client)] == ["actor", "Root"]


def test_entries_are_filtered_by_person_kind_and_days(root_client: Client, root: User) -> None:
    ana, bo = make_user(username="ana", balance=1), make_user(username="bo", balance=2)
    accounts.top_up(actor=root, user=ana, quota=3, at=NOON + timedelta(days=2))

    assert amounts(root_client, user="ANA") == amounts(root_client, user=str(ana.pk)) == [3, 1]
    assert amounts(root_client, user=bo.username, kind="top_up") == [2]
    assert amounts(root_client, kind="redemption") == amounts(root_client, user="an") == []
    assert amounts(root_client, since="2026-03-03") == [3]
    assert amounts(root_client, since="2026-03-02", until="2026-03-03") == [2, 1]


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"kind": "gift"}])
def test_a_filter_that_cannot_be_read_shows_the_reason_and_no_entries(
    query: dict[str, str], root_client: Client
) -> None:
    make_user(balance=1)

    answer = root_client.get(URL, query)

    assert answer.context["page"].items == []
    assert 'class="note state-danger"' in answer.content.decode()


def test_the_list_goes_on_page_by_page(root_client: Client, root: User) -> None:
    person = make_user()
    for quota in range(1, 53):
        accounts.top_up(actor=root, user=person, quota=quota, at=NOON)
    first = root_client.get(URL).context["page"]

    assert [entry.amount for entry in first.items] == list(range(52, 2, -1))
    assert amounts(root_client, cursor=first.next_cursor) == [2, 1]


def test_the_export_has_every_entry_and_no_formula(root_client: Client, root: User) -> None:
    person = make_user()
    for start in "=+-@":
        accounts.top_up(actor=root, user=person, quota=500_000, memo=f"{start}SUM(1)", at=NOON)

    header, *rows = exported(root_client)

    assert header[:3] == ["id", "time", "user_id"]
    assert [row[9] for row in rows] == ["'@SUM(1)", "'-SUM(1)", "'+SUM(1)", "'=SUM(1)"]
    assert {row[5] for row in rows} == {"500000"}
    assert {row[6] for row in rows} == {"1.000000"}


def test_the_export_keeps_to_the_filter(root_client: Client) -> None:
    make_user(username="ana", balance=1)
    make_user(username="bo", balance=2)

    assert [row[3] for row in exported(root_client, user="bo")[1:]] == ["bo"]


def test_the_list_costs_the_same_number_of_queries_however_long(
    root_client: Client, root: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def open_list() -> None:
        with django_assert_num_queries(3):
            root_client.get(URL)

    open_list()
    for _ in range(6):
        accounts.top_up(actor=root, user=make_user(), quota=1, at=NOON)
    open_list()
