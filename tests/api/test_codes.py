"""Batches of codes, for programs."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption import services
from redemption.models import CodeBatch, RedemptionCode
from tests.api.conftest import Program
from tests.factories import NOON, balance_of, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db
NEW = {"name": "spring", "quota": 500, "count": 3}


def make_batch(actor: User | None = None, **fields) -> tuple[CodeBatch, list[str]]:
    return services.create_batch(
        actor=actor or make_root(), at=NOON, **{"name": "spring", "quota": 500, "count": 3, **fields}
    )


def fields_of(answer) -> set[str]:
    return {error["field"] for error in answer.body["errors"]}


def queries_of(asks, path: str) -> int:
    asks.get("/me")  # notes by the minute that the access token was used
    with CaptureQueriesContext(connection) as context:
        answer = asks.get(path)
    assert answer.status == 200
    return len(context)


def test_codes_are_made_shown_once_and_good(program) -> None:
    admin, user = make_admin(), make_user()
    asks = program(admin, "codes")

    made = asks.post("/code-batches", NEW)
    path = f"/code-batches/{made.body['id']}"
    later = [asks.get(path), asks.get("/code-batches"), asks.get(f"{path}/codes")]

    codes = made.body["codes"]
    services.redeem(code=codes[2], user=user, at=NOON)
    assert made.status == 201
    assert len(set(codes)) == 3
    assert made.body["created_by_id"] == admin.pk
    assert {name: made.body[name] for name in ("name", "quota", "count", "enabled_count", "used_count")} == {
        **NEW,
        "enabled_count": 3,
        "used_count": 0,
    }
    assert all(code not in str(answer) for code in codes for answer in later)
    assert balance_of(user) == 500


@pytest.mark.parametrize(
    ("usd", "quota"), [("2", 1_000_000), ("0.000002", 1), ("9999999999.99", 4_999_999_999_995_000)]
)
def test_a_code_can_be_worth_dollars(program, usd, quota) -> None:
    made = program(make_admin()).post("/code-batches", {"name": "a", "count": 1, "usd": usd})

    assert (made.status, made.body["quota"]) == (201, quota)


def test_a_request_sent_again_gets_the_same_codes_and_makes_no_more(program) -> None:
    asks = program(make_admin())

    first, again = (asks.post("/code-batches", NEW, Idempotency_Key="1") for _ in range(2))

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert RedemptionCode.objects.count() == 3


def test_a_batch_of_the_largest_size_is_made(program) -> None:
    made = program(make_admin()).post(
        "/code-batches", {"name": "a", "count": 10_000, "quota": MAX_QUOTA}, Idempotency_Key="1"
    )

    assert (made.status, len(set(made.body["codes"]))) == (201, 10_000)
    assert made.body["unused_quota"] == 10_000 * MAX_QUOTA


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"name": " "}, "body.name"),
        ({"name": "x" * 65}, "body.name"),
        ({"name": "nul\0"}, "body.name"),
        ({"count": 0}, "body.count"),
        ({"count": 10_001}, "body.count"),
        ({"count": -(10**30)}, "body.count"),
        ({"count": "3"}, "body.count"),
        ({"quota": 0}, "body.quota"),
        ({"quota": -5}, "body.quota"),
        ({"quota": 2**53}, "body.quota"),
        ({"quota": 1.5}, "body.quota"),
        ({"quota": None, "usd": "0"}, "body.usd"),
        ({"quota": None, "usd": "0.000000"}, "body.usd"),
        ({"quota": None, "usd": "0.000001"}, "body.usd"),
        ({"quota": None, "usd": "1.0000001"}, "body.usd"),
        ({"quota": None, "usd": "-1"}, "body.usd"),
        ({"quota": None, "usd": "1e3"}, "body.usd"),
        ({"quota": None, "usd": "NaN"}, "body.usd"),
        ({"quota": None, "usd": "99999999999"}, "body.usd"),
        ({"quota": None, "usd": 5}, "body.usd"),
        ({"quota": None}, "body"),
        ({"usd": "5"}, "body"),
        ({"memo": "x"}, "body.memo"),
    ],
)
def test_a_batch_with_a_wrong_field_is_refused_naming_it(program, wrong, field) -> None:
    answer = program(make_admin()).post("/code-batches", {**NEW, **wrong})

    assert (answer.status, fields_of(answer)) == (422, {field})
    assert not CodeBatch.objects.exists()


def test_a_batch_counts_what_became_of_its_codes(program) -> None:
    batch, codes = make_batch(count=4)
    make_batch(count=2)
    services.redeem(code=codes[0], user=make_user(), at=NOON)
    services.set_code_status(
        actor=None, code=RedemptionCode.objects.get(digest=services.code_digest(codes[1])), is_enabled=False
    )
    asks = program(make_admin(), "read")

    body = asks.get(f"/code-batches/{batch.pk}").body

    counts = {name: body[name] for name in body if name.endswith(("_count", "_quota"))}
    assert counts == {
        "enabled_count": 2,
        "disabled_count": 1,
        "used_count": 1,
        "used_quota": 500,
        "unused_quota": 1000,
    }
    assert asks.get("/code-batches").body["items"][1] == body


def test_the_codes_of_a_batch_tell_who_redeemed_them_and_can_be_narrowed(program) -> None:
    batch, codes = make_batch()
    make_batch()
    user = make_user()
    services.redeem(code=codes[0], user=user, at=NOON)
    asks, path = program(make_admin()), f"/code-batches/{batch.pk}/codes"

    everything = asks.get(path).body["items"]
    [used] = asks.get(f"{path}?status=used").body["items"]

    assert [item["hint"] for item in everything] == [code[-4:] for code in codes[::-1]]
    assert (used["hint"], used["redeemed_by_id"]) == (codes[0][-4:], user.pk)
    assert used["redeemed_at"] == "2026-03-02T12:00:00.000000Z"
    assert [item["status"] for item in asks.get(f"{path}?status=enabled").body["items"]] == ["enabled"] * 2
    assert asks.get(f"{path}?status=lost").status == 422


def test_the_codes_of_a_batch_are_paged(program) -> None:
    batch, codes = make_batch()
    asks, path = program(make_admin()), f"/code-batches/{batch.pk}/codes"

    first = asks.get(f"{path}?limit=2").body
    second = asks.get(f"{path}?limit=2&cursor={first['next_cursor']}").body

    hints = [item["hint"] for item in first["items"] + second["items"]]
    assert hints == [code[-4:] for code in codes[::-1]]
    assert second["next_cursor"] is None


def test_a_code_is_disabled_and_enabled_again(program) -> None:
    _batch, [plaintext] = make_batch(count=1)
    code = RedemptionCode.objects.get()
    user, asks = make_user(), program(make_admin(), "codes")

    disabled = asks.patch(f"/codes/{code.pk}", {"status": "disabled"})
    refused = program(user).post("/redemptions", {"code": plaintext})
    enabled = asks.patch(f"/codes/{code.pk}", {"status": "enabled"})
    redeemed = program(user).post("/redemptions", {"code": plaintext})

    assert [(answer.status, answer.body["status"]) for answer in (disabled, enabled)] == [
        (200, "disabled"),
        (200, "enabled"),
    ]
    assert (refused.status, redeemed.status) == (409, 201)


@pytest.mark.parametrize("status", ["enabled", "disabled"])
def test_a_used_code_stays_used(program, status) -> None:
    _batch, [plaintext] = make_batch(count=1)
    services.redeem(code=plaintext, user=make_user(), at=NOON)
    code = RedemptionCode.objects.get()

    answer = program(make_admin()).patch(f"/codes/{code.pk}", {"status": status})

    code.refresh_from_db()
    assert (answer.status, answer.code) == (409, "code_used")
    assert code.status == "used"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.status"),
        ({"status": "used"}, "body.status"),
        ({"status": None}, "body.status"),
        ({"status": "disabled", "quota": 5}, "body.quota"),
    ],
)
def test_a_change_of_a_code_that_makes_no_sense_is_refused_naming_the_field(program, body, field) -> None:
    make_batch(count=1)

    answer = program(make_admin()).patch(f"/codes/{RedemptionCode.objects.get().pk}", body)

    assert (answer.status, fields_of(answer)) == (422, {field})
    assert RedemptionCode.objects.get().status == "enabled"


def test_a_list_of_many_batches_takes_as_many_queries_as_one_of_few(program) -> None:
    asks, root = program(make_admin()), make_root()
    for _ in range(20):
        make_batch(root)

    assert queries_of(asks, "/code-batches?limit=2") == queries_of(asks, "/code-batches?limit=20")


def test_a_list_of_many_codes_takes_as_many_queries_as_one_of_few(program) -> None:
    batch, codes = make_batch(count=20)
    for code in codes:
        services.redeem(code=code, user=make_user(), at=NOON)
    asks, path = program(make_admin()), f"/code-batches/{batch.pk}/codes"

    assert queries_of(asks, f"{path}?limit=2") == queries_of(asks, f"{path}?limit=20")


OPERATIONS = [
    ("GET", "/code-batches", None),
    ("POST", "/code-batches", NEW),
    ("GET", "/code-batches/{batch}", None),
    ("GET", "/code-batches/{batch}/codes", None),
    ("PATCH", "/codes/{code}", {"status": "disabled"}),
]
OF_ONE = OPERATIONS[2:]
WRITES = [operation for operation in OPERATIONS if operation[0] != "GET"]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_batches_and_codes_are_for_operators(program, method, path, body) -> None:
    batch, _codes = make_batch(count=1)
    path = path.format(batch=batch.pk, code=RedemptionCode.objects.get().pk)

    visitor = Program().ask(method, path, body)
    user = program(make_user()).ask(method, path, body)

    assert (visitor.status, visitor.code) == (401, "authentication_required")
    assert (user.status, user.code) == (403, "permission_denied")
    assert RedemptionCode.objects.get().status == "enabled"


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_token_that_may_only_read_makes_and_changes_no_codes(program, method, path, body) -> None:
    batch, _codes = make_batch(count=1)
    path = path.format(batch=batch.pk, code=RedemptionCode.objects.get().pk)

    answer = program(make_root(), "read", "redeem").ask(method, path, body)

    assert (answer.status, answer.code) == (403, "missing_scope")
    assert RedemptionCode.objects.get().status == "enabled"


@pytest.mark.parametrize("pk", [999_999, 2**63 - 1])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_what_is_not_there_is_not_found(program, method, path, body, pk) -> None:
    make_batch()

    assert program(make_admin()).ask(method, path.format(batch=pk, code=pk), body).status == 404


@pytest.mark.parametrize("pk", ["0", "-1", str(2**63), "x"])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_what_is_no_number_is_refused(program, method, path, body, pk) -> None:
    assert program(make_admin()).ask(method, path.format(batch=pk, code=pk), body).status == 422
