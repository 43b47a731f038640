from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import SiteSettings, User
from billing.models import LedgerEntry
from billing.services.calls import settle
from tests.factories import balance_of, make_channel, make_root, make_token, make_user, settlement

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/ops/users/?q=a"}


def top_up(client: Client, user: User, *, htmx: bool = False, **fields: Any) -> Any:
    data = {"amount": "5", "unit": "usd", "memo": "", "key": str(uuid4()), **fields}
    return client.post(reverse("ops:user-top-up", args=[user.pk]), data, headers=HTMX if htmx else {})


def test_a_top_up_credits_the_amount_and_goes_to_the_person(
    root_client: Client, root: User, person: User
) -> None:
    answer = top_up(root_client, person, amount="$1,000.50", memo="invoice 7")

    entry = LedgerEntry.objects.latest("pk")
    assert answer.headers["Location"] == reverse("ops:user-detail", args=[person.pk])
    assert (entry.account_id, entry.amount, entry.memo, entry.actor_id) == (
        person.pk,
        500_250_000,
        "invoice 7",
        root.pk,
    )
    assert balance_of(person) == 500_251_000


def test_a_top_up_sent_twice_credits_once(root_client: Client, person: User) -> None:
    key = str(uuid4())

    first = top_up(root_client, person, key=key)
    second = top_up(root_client, person, key=key)

    assert (first.status_code, second.status_code) == (302, 302)
    assert balance_of(person) == 2_501_000


def test_a_form_sent_again_with_another_amount_says_so_and_then_stands_for_a_new_top_up(
    root_client: Client, person: User
) -> None:
    key = str(uuid4())
    top_up(root_client, person, key=key)

    refused = top_up(root_client, person, key=key, amount="7")
    new_key = str(refused.context["form"]["key"].value())
    top_up(root_client, person, key=new_key, amount="7")

    assert refused.status_code == 422
    assert "already moved quota in another way" in refused.content.decode()
    assert balance_of(person) == 1_000 + 2_500_000 + 3_500_000


def test_a_key_of_one_persons_form_credits_nobody_else(root_client: Client, person: User) -> None:
    other, key = make_user(), str(uuid4())
    top_up(root_client, person, key=key)

    assert top_up(root_client, other, key=key).status_code == 422
    assert balance_of(other) == 0


@pytest.mark.parametrize(
    ("amount", "unit", "reason"),
    [
        ("", "usd", "required"),
        ("0", "usd", "more than 0"),
        ("0.00", "usd", "more than 0"),
        ("-5", "usd", "more than 0"),
        ("−5", "usd", "more than 0"),
        ("five", "usd", "such as 5 or 12.50"),
        ("1,5", "usd", "such as 5 or 12.50"),
        ("1e9", "usd", "such as 5 or 12.50"),
        ("NaN", "usd", "such as 5 or 12.50"),
        ("٣", "usd", "such as 5 or 12.50"),
        ("9" * 60, "usd", "such as 5 or 12.50"),
        ("0.000001", "usd", "finer than one quota unit"),
        ("1.5", "quota", "finer than one quota unit"),
        ("9007199254740992", "quota", "largest amount"),
        ("18014398509.481984", "usd", "largest amount"),
        ("5", "yen", "Select a valid choice"),
    ],
)
def test_an_amount_that_makes_no_sense_is_refused_with_the_reason(
    amount: str, unit: str, reason: str, root_client: Client, person: User
) -> None:
    answer = top_up(root_client, person, amount=amount, unit=unit, htmx=True)

    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert balance_of(person) == 1_000


def test_the_largest_amount_is_credited_exactly_and_one_more_unit_is_refused(root_client: Client) -> None:
    rich = make_user()

    top_up(root_client, rich, amount="9007199254740991", unit="quota")
    over = top_up(root_client, rich, amount="1", unit="quota")

    assert balance_of(rich) == 2**53 - 1
    assert over.status_code == 422
    assert "too large" in over.content.decode()


def test_after_a_top_up_htmx_swaps_the_row_and_closes_the_form(root_client: Client, person: User) -> None:
    answer = top_up(root_client, person, htmx=True)

    content = answer.content.decode()
    assert f'<tr id="user-{person.pk}" hx-swap-oob="true">' in content
    assert "$5.002" in content
    assert "slideover:close" in answer.headers["HX-Trigger"]
    assert "was given $5.00" in answer.headers["HX-Trigger"]


def test_root_may_top_up_root(root_client: Client) -> None:
    other = make_root()

    top_up(root_client, other)

    assert balance_of(other) == 2_500_000


def test_somebody_who_signed_up_alone_gets_an_account_with_the_first_top_up(root_client: Client) -> None:
    newcomer = User.objects.create(username="newcomer")

    page = root_client.get(reverse("ops:user-detail", args=[newcomer.pk]))
    top_up(root_client, newcomer)

    assert page.status_code == 200
    assert balance_of(newcomer) == 2_500_000


def test_the_list_costs_the_same_number_of_queries_however_long(
    root_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def open_list() -> None:
        with django_assert_num_queries(6):
            root_client.get(reverse("ops:users"))

    make_user()
    open_list()
    for _ in range(12):
        make_user(balance=5)
    open_list()


def test_people_are_found_by_name_mail_and_number_and_filtered(root_client: Client) -> None:
    ana = make_user(username="ana", display_name="Zoe", email="first@example.com", group="vip")
    bo = make_user(username="bo")

    def found(**query: Any) -> set[int]:
        page = root_client.get(reverse("ops:users"), query).context["page"]
        return {row.pk for row in page.items} & {ana.pk, bo.pk}

    assert found(q="AN") == found(q="zo") == found(q="first@") == found(q=str(ana.pk)) == {ana.pk}
    assert found(group="vip") == {ana.pk}
    assert found(role="user", status="enabled") == {ana.pk, bo.pk}
    assert found(status="disabled") == found(q="nobody") == set()


def test_the_list_goes_on_page_by_page_without_gaps(root_client: Client) -> None:
    made = {make_user().pk for _ in range(55)}
    first = root_client.get(reverse("ops:users")).context["page"]

    second = root_client.get(reverse("ops:users"), {"cursor": first.next_cursor}).context["page"]

    assert len(first.items) == 50
    assert made <= {row.pk for row in [*first.items, *second.items]}


def test_a_created_user_gets_a_password_shown_once_and_the_first_quota(root_client: Client) -> None:
    data = {"username": "newbie", "password": "", "group": "default", "role": "user", "amount": "2.5"}

    answer = root_client.post(reverse("ops:user-create"), data)

    made = User.objects.get(username="newbie")
    assert made.check_password(answer.context["password"])
    assert answer.context["password"] in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert balance_of(made) == 1_250_000


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"username": "TAKEN"}, "This user name is taken."),
        ({"email": "Taken@example.com"}, "Somebody else has this e-mail address."),
        ({"username": "a b"}, "Use letters, digits"),
        ({"password": "12345678"}, "too common"),
        ({"amount": "-1"}, "more than 0"),
        ({"group": "No Good"}, "small letters"),
    ],
)
def test_a_user_that_cannot_be_created_is_refused_with_the_reason(
    fields: dict[str, str], reason: str, root_client: Client
) -> None:
    make_user(username="taken", email="taken@example.com")
    data = {"username": "newbie", "group": "default", "role": "user", **fields}

    answer = root_client.post(reverse("ops:user-create"), data)

    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert not User.objects.filter(username="newbie").exists()


def test_an_administrator_creates_ordinary_users_only(admin_client: Client) -> None:
    data = {"username": "newbie", "password": "a long pass phrase", "group": "default", "role": "root"}

    admin_client.post(reverse("ops:user-create"), data)

    assert User.objects.get(username="newbie").role == "user"


def test_an_edit_changes_what_was_entered(root_client: Client, person: User) -> None:
    data = {
        "display_name": "Ana",
        "email": "a@b.example",
        "group": "vip",
        "role": "admin",
        "status": "disabled",
    }

    root_client.post(reverse("ops:user-edit", args=[person.pk]), data)

    person.refresh_from_db()
    assert {name: getattr(person, name) for name in data} == data


def test_an_administrator_cannot_promote(admin_client: Client, person: User) -> None:
    data = {"display_name": "", "email": "", "group": "default", "role": "admin", "status": "enabled"}

    admin_client.post(reverse("ops:user-edit", args=[person.pk]), data)

    person.refresh_from_db()
    assert person.role == "user"


def test_the_last_root_stays_root(root_client: Client, root: User) -> None:
    data = {"display_name": "", "email": "", "group": "default", "role": "user", "status": "enabled"}

    answer = root_client.post(reverse("ops:user-edit", args=[root.pk]), data)

    root.refresh_from_db()
    assert answer.status_code == 422
    assert "only enabled root" in answer.content.decode()
    assert root.role == "root"


def test_a_new_password_works_and_the_old_one_does_not(root_client: Client, person: User) -> None:
    root_client.post(reverse("ops:user-password", args=[person.pk]), {"password": "correct horse battery"})

    person.refresh_from_db()
    assert person.check_password("correct horse battery")


def test_a_weak_password_is_refused(root_client: Client, person: User) -> None:
    answer = root_client.post(reverse("ops:user-password", args=[person.pk]), {"password": "password"})

    assert answer.status_code == 422
    assert "too common" in answer.content.decode()


def test_whoever_changes_the_own_password_stays_signed_in(root_client: Client, root: User) -> None:
    root_client.post(reverse("ops:user-password", args=[root.pk]), {"password": ""})

    assert root_client.get(reverse("ops:users")).status_code == 200


def test_the_details_show_prefixes_and_sums_but_no_keys(root_client: Client, person: User) -> None:
    made = make_token(person)
    settle(
        settlements=[settlement(made, make_channel(), quota=500, created_at=timezone.now())],
        at=timezone.now(),
    )

    content = root_client.get(reverse("ops:user-detail", args=[person.pk])).content.decode()

    assert made.token.key_prefix in content
    assert made.key not in content
    assert made.key_hash not in content
    assert "test-model" in content


def test_the_details_cost_the_same_number_of_queries_however_much_there_is(
    root_client: Client, person: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(3):
        make_token(person)
        top_up(root_client, person)

    with django_assert_num_queries(7):
        root_client.get(reverse("ops:user-detail", args=[person.pk]))


def test_sign_up_is_opened_and_closed(admin_client: Client) -> None:
    admin_client.post(reverse("ops:user-signup"), {"is_signup_open": "on"})
    opened = SiteSettings.objects.get().is_signup_open
    admin_client.post(reverse("ops:user-signup"))

    assert opened
    assert not SiteSettings.objects.get().is_signup_open
