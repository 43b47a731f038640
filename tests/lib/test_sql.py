import pytest
from django.db import DataError, IntegrityError, transaction

from accounts.models import User
from billing.models import ConfigVersion, Hold, QuotaAccount, UsageDaily
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
    return (user.pk, DAY, 1, model, 1, 0, 2, 0, 3, quota)


def test_sums_are_inserted_and_then_added_to() -> None:
    user = make_user()
    with sql.durable_batch() as batch:
        sql.upsert_sums(batch, UsageDaily, KEY, SUMS, [row(user, "a", 10), row(user, "b", 1)])
        sql.upsert_sums(batch, UsageDaily, KEY, SUMS, [row(user, "a", 32), row(user, "c", 5)])

    found = UsageDaily.objects.order_by("model").values_list(
        "model", "request_count", "prompt_tokens", "quota"
    )
    assert list(found) == [("a", 2, 4, 42), ("b", 1, 2, 1), ("c", 1, 2, 5)]


def test_values_are_escaped_and_never_run() -> None:
    user = make_user()
    with sql.durable_batch() as batch:
        sql.upsert_sums(batch, UsageDaily, KEY, SUMS, [row(user, "'); DROP TABLE x; -- %s", 1)])

    assert UsageDaily.objects.get().model == "'); DROP TABLE x; -- %s"


def test_many_rows_are_updated_each_with_its_own_value_and_others_stay() -> None:
    users = [make_user(balance=100) for _ in range(3)]

    with sql.durable_batch() as batch:
        sql.update_rows(
            batch,
            QuotaAccount,
            ("user_id", "used_quota", "request_count"),
            "used_quota = t.used_quota + v.v1, request_count = v.v2",
            [(users[0].pk, 7, 1), (users[1].pk, 2**40, 2)],
        )

    found = QuotaAccount.objects.order_by("pk").values_list("used_quota", "request_count")
    assert list(found) == [(7, 1), (2**40, 2), (0, 0)]


def test_locked_rows_come_once_each_in_the_order_of_their_keys() -> None:
    first, second = make_user(), make_user()

    with sql.durable_batch() as batch:
        found = sql.lock_rows(batch, User, ["id", "username"], [second.pk, first.pk, second.pk, 0]).fetchall()
        nothing = sql.lock_rows(batch, User, ["id"], []).fetchall()

    assert found == [(first.pk, first.username), (second.pk, second.username)]
    assert nothing == []


def test_names_come_from_the_model() -> None:
    assert sql.table(ConfigVersion) == '"billing_configversion"'


@pytest.mark.parametrize(
    "text", ["", "NULL", "None", "a,b", '{"a": 1}', "back\\slash", 'two"quotes"', "中文 😀", " "]
)
def test_any_text_arrives_as_it_is(text: str) -> None:
    user = make_user()

    with sql.durable_batch() as batch:
        sql.upsert_sums(batch, UsageDaily, KEY, SUMS, [row(user, text, 1), row(user, "x", 1)])

    assert {found.model for found in UsageDaily.objects.all()} == {text, "x"}


def set_held(user: User, amounts: list[int]) -> None:
    with sql.durable_batch() as batch:
        for amount in amounts:
            sql.update_rows(batch, QuotaAccount, ("user_id", "held"), "held = v.v1", [(user.pk, amount)])


def test_a_refused_statement_undoes_its_whole_batch_and_the_connection_goes_on() -> None:
    user = make_user(balance=100)

    with pytest.raises(IntegrityError):
        set_held(user, [5, -1, 7])

    assert QuotaAccount.objects.get().held == 0
    set_held(user, [9])
    assert QuotaAccount.objects.get().held == 9


def test_a_number_that_no_column_can_hold_is_refused() -> None:
    user = make_user()

    with pytest.raises((DataError, OverflowError)), sql.durable_batch() as batch:
        sql.upsert_sums(batch, UsageDaily, KEY, SUMS, [row(user, "x", 2**63)])

    assert not UsageDaily.objects.exists()


def test_what_is_refused_only_at_the_commit_is_not_taken_for_written() -> None:
    user = make_user(balance=100)

    with pytest.raises(IntegrityError):
        add_days([user.pk, user.pk + 1])

    assert not UsageDaily.objects.exists()
    add_days([user.pk])
    assert UsageDaily.objects.count() == 1


def add_days(accounts: list[int]) -> None:
    """The reference to the account is checked when the transaction ends."""
    with sql.durable_batch() as batch:
        rows = [(account, NOON.date(), 7, "x", 1, 1, 1, 1, 1, 1) for account in accounts]
        sql.upsert_sums(batch, UsageDaily, KEY, SUMS, rows)


def test_a_computed_column_sees_the_values_of_its_row() -> None:
    user = make_user(balance=100)
    columns = ("request_id", "account_id", "token_id", "created_at", "expires_at")
    rows = [("a", user.pk, 7, NOON, NOON), ("b", user.pk, 9, NOON, NOON)]

    with sql.durable_batch() as batch:
        sql.insert_rows(batch, Hold, columns, rows, computed=("amount", "v.v2 * 10"))

    assert list(Hold.objects.order_by("request_id").values_list("request_id", "amount")) == [
        ("a", 70),
        ("b", 90),
    ]


def test_a_batch_that_must_last_cannot_hang_on_another_transaction() -> None:
    with pytest.raises(RuntimeError), transaction.atomic(), sql.durable_batch():
        pass


def test_an_error_of_the_code_in_between_undoes_the_batch() -> None:
    user = make_user(balance=100)

    with pytest.raises(ZeroDivisionError):
        write_then_fail(user)

    assert QuotaAccount.objects.get().held == 0


def write_then_fail(user: User) -> None:
    with sql.durable_batch() as batch:
        sql.update_rows(batch, QuotaAccount, ("user_id", "held"), "held = v.v1", [(user.pk, 5)])
        1 / 0  # noqa: B018
