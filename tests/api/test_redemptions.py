"""Redeeming codes, for programs."""

import pytest

from billing.models import LedgerEntry
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption import services
from redemption.models import RedemptionCode
from tests.api.conftest import Program
from tests.factories import NOON, balance_of, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db


def make_code(quota: int = 500) -> str:
    _batch, [code] = services.create_batch(actor=make_root(), name="spring", quota=quota, count=1, at=NOON)
    return code


def disable(code: str) -> None:
    services.set_code_status(actor=None, code=RedemptionCode.objects.get(hint=code[-4:]), is_enabled=False)


def test_a_code_becomes_quota(program) -> None:
    user, code = make_user(balance=7), make_code()

    answer = program(user, "redeem").post("/redemptions", {"code": code})

    entry = LedgerEntry.objects.get(kind="redemption")
    assert answer.status == 201
    assert {name: answer.body[name] for name in ("id", "user_id", "kind", "amount", "balance_after")} == {
        "id": entry.pk,
        "user_id": user.pk,
        "kind": "redemption",
        "amount": 500,
        "balance_after": 507,
    }
    assert balance_of(user) == 507


@pytest.mark.parametrize("role", [make_user, make_admin, make_root])
def test_anybody_may_redeem(program, role) -> None:
    person = role()

    assert program(person).post("/redemptions", {"code": make_code()}).status == 201
    assert balance_of(person) == 500


@pytest.mark.parametrize(
    "typed",
    [
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: f"  {code.replace('-', ' — ')}\n",
        lambda code: code.translate({ord(sign): ord(sign) + 0xFEE0 for sign in services.ALPHABET}),
    ],
)
def test_a_code_is_taken_as_people_paste_it(program, typed) -> None:
    user, code = make_user(), make_code()

    assert program(user).post("/redemptions", {"code": typed(code)}).status == 201
    assert balance_of(user) == 500


def test_a_request_sent_again_is_answered_again_and_pays_once(program) -> None:
    user, code = make_user(), make_code()
    asks = program(user)

    first, again = (asks.post("/redemptions", {"code": code}, Idempotency_Key="1") for _ in range(2))

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert balance_of(user) == 500


def test_unknown_used_and_disabled_codes_are_refused_alike(program) -> None:
    user, used, disabled = make_user(), make_code(), make_code()
    services.redeem(code=used, user=make_user(), at=NOON)
    disable(disabled)
    asks = program(user)

    answers = [
        asks.post("/redemptions", {"code": code})
        for code in (used, disabled, "AAAA-AAAA-AAAA-AAAA", "-", "ſ" * 128)
    ]

    assert [(answer.status, answer.code) for answer in answers] == [(409, "code_not_redeemable")] * 5
    assert len({(answer.body["detail"], answer.body["remedy"]) for answer in answers}) == 1
    assert balance_of(user) == 0


def test_a_refused_code_can_be_sent_again_under_the_same_key_once_it_is_good(program) -> None:
    user, code = make_user(), make_code()
    disable(code)
    asks = program(user)
    refused = asks.post("/redemptions", {"code": code}, Idempotency_Key="1")
    RedemptionCode.objects.update(status="enabled")

    done = asks.post("/redemptions", {"code": code}, Idempotency_Key="1")

    assert (refused.status, done.status) == (409, 201)
    assert balance_of(user) == 500


def test_a_code_that_would_make_a_balance_too_large_stays_good(program) -> None:
    user, code = make_user(balance=1), make_code(MAX_QUOTA)

    answer = program(user).post("/redemptions", {"code": code})

    assert (answer.status, answer.code) == (422, "quota_too_large")
    assert RedemptionCode.objects.get().status == "enabled"
    assert balance_of(user) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.code"),
        ({"code": ""}, "body.code"),
        ({"code": "x" * 129}, "body.code"),
        ({"code": "nul\0"}, "body.code"),
        ({"code": "half\udc00"}, "body.code"),
        ({"code": 5}, "body.code"),
        ({"code": None}, "body.code"),
        ({"code": "x", "user_id": 1}, "body.user_id"),
        ([], "body"),
    ],
)
def test_what_is_no_code_is_refused_naming_the_field(program, body, field) -> None:
    answer = program(make_user()).post("/redemptions", body)

    assert (answer.status, answer.code) == (422, "invalid_request")
    assert [error["field"] for error in answer.body["errors"]] == [field]


def test_a_visitor_redeems_nothing() -> None:
    code = make_code()

    assert Program().post("/redemptions", {"code": code}).status == 401
    assert RedemptionCode.objects.get().status == "enabled"


def test_a_token_that_may_only_read_redeems_nothing(program) -> None:
    answer = program(make_user(), "read", "tokens").post("/redemptions", {"code": make_code()})

    assert (answer.status, answer.code) == (403, "missing_scope")
    assert RedemptionCode.objects.get().status == "enabled"
