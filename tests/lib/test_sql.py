import pytest
from django.db import connection, transaction

from accounts.models import User
from billing.models import ConfigVersion, QuotaAccount, UsageDaily
from oneapi_admin.lib import sql
from tests.factories import NOON, make_user

pytestmark = pytest.mark.django_db(transaction=True)
DAY = NOON.date()
KEY = ("account_id", "day", "token_id", "model")
SUMS = (
    "request_count",
    "failure_count",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "quota",
)


def row(user: User, model: str, quota: int) -> tuple[object, ...]:
    return (user.pk, connection.ops.adapt_datefield_value(DAY), 1, model, 1, 0, 2, 0, 3, quota)


def test_sums_are_inserted_and_then_added_to() -> None:
    user = make_user()
    with connection.cursor() as cursor:
        sql.upsert_sums(cursor, UsageDaily, KEY, SUMS, [row(user, "a", 10), row(user, "b", 1)])
        sql.upsert_sums(cursor, UsageDaily, KEY, SUMS, [row(user, "a", 32), row(user, "c", 5)])

    found = UsageDaily.objects.order_by("model").values_list(
        "model", "request_count", "prompt_tokens", "quota"
    )
    assert list(found) == [("a", 2, 4, 42), ("b", 1, 2, 1), ("c", 1, 2, 5)]


def test_values_are_escaped_and_never_run() -> None:
    user = make_user()
    with connection.cursor() as cursor:
        sql.upsert_sums(cursor, UsageDaily, KEY, SUMS, [row(user, "'); DROP TABLE x; -- %s", 1)])

    assert UsageDaily.objects.get().model == "'); DROP TABLE x; -- %s"


def test_many_rows_are_updated_each_with_its_own_value_and_others_stay() -> None:
    users = [make_user(balance=100) for _ in range(3)]

    with connection.cursor() as cursor:
        sql.update_rows(
            cursor,
            QuotaAccount,
            ("user_id", "used_quota", "request_count"),
            "used_quota = t.used_quota + v.v1, request_count = v.v2",
            [(users[0].pk, 7, 1), (users[1].pk, 2**40, 2)],
        )

    found = QuotaAccount.objects.order_by("pk").values_list("used_quota", "request_count")
    assert list(found) == [(7, 1), (2**40, 2), (0, 0)]


def test_locked_rows_come_once_each_in_the_order_of_their_keys() -> None:
    first, second = make_user(), make_user()

    with transaction.atomic(), connection.cursor() as cursor:
        found = sql.lock_rows(cursor, User, ["id", "username"], [second.pk, first.pk, second.pk, 0])
        nothing = sql.lock_rows(cursor, User, ["id"], [])

    assert found == [(first.pk, first.username), (second.pk, second.username)]
    assert nothing == []


def test_names_come_from_the_model() -> None:
    assert sql.table(ConfigVersion) == '"billing_configversion"'
