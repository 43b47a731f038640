from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption import services
from redemption.models import CodeBatch, RedemptionCode
from tests.factories import NOON, balance_of, make_user


def make_batch(root: User, **fields: Any) -> tuple[CodeBatch, list[str]]:
    return services.create_batch(
        actor=root, at=NOON, **{"name": "spring", "quota": 500, "count": 3, **fields}
    )


def test_new_codes_are_shown_once_and_can_be_redeemed(admin_client: Client) -> None:
    data = {"name": "workshop", "amount": "2", "unit": "usd", "count": "12"}

    answer = admin_client.post(reverse("ops:code-create"), data)

    codes = answer.context["codes"]
    user = make_user()
    services.redeem(code=codes[11], user=user, at=NOON)
    assert len(set(codes)) == 12
    assert all(code in answer.content.decode() for code in codes)
    assert "no-store" in answer.headers["Cache-Control"]
    assert balance_of(user) == 1_000_000


def test_codes_are_nowhere_but_in_the_answer_that_made_them(
    admin_client: Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    made = admin_client.post(
        reverse("ops:code-create"), {"name": "w", "amount": "2", "unit": "usd", "count": "1"}
    )
    [code] = made.context["codes"]
    batch = CodeBatch.objects.get()

    pages = [reverse("ops:codes"), reverse("ops:code-detail", args=[batch.pk])]

    contents = [admin_client.get(page).content.decode() for page in pages]
    assert all(code not in content for content in contents)
    assert f"…{code[-4:]}" in contents[1]
    assert code not in str(RedemptionCode.objects.values().get())
    assert code not in caplog.text
    assert code not in "".join(capfd.readouterr())


def test_a_batch_worth_more_than_the_database_can_count_is_shown(root: User, admin_client: Client) -> None:
    batch, _codes = make_batch(root, quota=MAX_QUOTA, count=1025)

    answers = [
        admin_client.get(page) for page in (reverse("ops:codes"), reverse("ops:code-detail", args=[batch.pk]))
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].context["batch"].unused_quota == 1025 * MAX_QUOTA


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"count": "0"}, "greater than or equal to 1"),
        ({"count": "10001"}, "less than or equal to 10000"),
        ({"amount": "0"}, "more than 0"),
        ({"amount": "much"}, "such as 5 or 12.50"),
        ({"name": ""}, "required"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused_with_the_reason(
    fields: dict[str, str], reason: str, admin_client: Client
) -> None:
    data = {"name": "workshop", "amount": "2", "unit": "usd", "count": "12", **fields}

    answer = admin_client.post(reverse("ops:code-create"), data)

    assert answer.status_code == 422
    assert reason in answer.content.decode()
    assert not CodeBatch.objects.exists()


def test_a_batch_shows_who_redeemed_and_can_be_narrowed(root: User, admin_client: Client) -> None:
    batch, codes = make_batch(root)
    person = make_user(username="the-redeemer")
    services.redeem(code=codes[0], user=person, at=NOON)
    url = reverse("ops:code-detail", args=[batch.pk])

    used = admin_client.get(url, {"status": "used"})
    by_hint = admin_client.get(url, {"q": codes[1][-4:].lower()})

    assert [code.redeemed_by for code in used.context["page"].items] == [person]
    assert "the-redeemer" in used.content.decode()
    assert codes[1][-4:] in {code.hint for code in by_hint.context["page"].items}


def test_a_disabled_code_cannot_be_redeemed_until_enabled_again(root: User, admin_client: Client) -> None:
    batch, [code] = make_batch(root, count=1)
    url = reverse("ops:code-status", args=[batch.pk, RedemptionCode.objects.get().pk])
    user = make_user()

    admin_client.post(url, {"is_enabled": "0"})
    with pytest.raises(DomainError):
        services.redeem(code=code, user=user, at=NOON)
    admin_client.post(url, {"is_enabled": "1"})
    services.redeem(code=code, user=user, at=NOON)

    assert balance_of(user) == 500


def test_a_used_code_stays_used(root: User, admin_client: Client) -> None:
    batch, [code] = make_batch(root, count=1)
    services.redeem(code=code, user=make_user(), at=NOON)
    url = reverse("ops:code-status", args=[batch.pk, RedemptionCode.objects.get().pk])

    answer = admin_client.post(url, {"is_enabled": "1"}, follow=True)

    assert RedemptionCode.objects.get().status == "used"
    assert "was redeemed meanwhile" in answer.content.decode()


def test_a_code_is_not_found_under_another_batch(root: User, admin_client: Client) -> None:
    make_batch(root, count=1)
    other, _codes = make_batch(root, count=1)
    url = reverse("ops:code-status", args=[other.pk, RedemptionCode.objects.earliest("pk").pk])

    assert admin_client.post(url, {"is_enabled": "0"}).status_code == 404


def test_the_lists_cost_the_same_number_of_queries_however_long(
    root: User, admin_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    batch, codes = make_batch(root)

    def open_lists() -> None:
        with django_assert_num_queries(3):
            admin_client.get(reverse("ops:codes"))
        with django_assert_num_queries(4):
            admin_client.get(reverse("ops:code-detail", args=[batch.pk]))

    open_lists()
    for code in codes:
        services.redeem(code=code, user=make_user(), at=NOON)
        make_batch(root)
    open_lists()
