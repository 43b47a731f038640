"""Redeeming codes, for programs, and who redeemed them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from accounts.models import User
from billing.models import LedgerEntry, WebhookDelivery
from billing.services.audit import audit_ledger
from billing.services.reversals import reverse
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption import code_format, queries
from redemption.models import CodeBatch, RedemptionCode, RefusedAttempts
from redemption.services import batches
from redemption.services.codes import set_code_status
from redemption.services.redeeming import redeem
from tests.api.conftest import Program, queries_of
from tests.factories import (
    NOON,
    balance_of,
    codes_in_clear,
    make_admin,
    make_batch,
    make_code,
    make_codes,
    make_root,
    make_user,
    make_webhook,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
NOBODYS = "0000-0000-0000-0000-0"


def code_of(text: str) -> RedemptionCode:
    return queries.codes_found(text).get()


def disable(text: str) -> None:
    set_code_status(actor=None, code=code_of(text), is_enabled=False)


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
    assert code not in str(answer.body)


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
        lambda code: code.replace("0", "O").replace("1", "l"),
        lambda code: code.translate({ord(sign): ord(sign) + 0xFEE0 for sign in code_format.ALPHABET}),
    ],
)
def test_a_code_is_taken_as_people_paste_it(program, typed) -> None:
    user, code = make_user(), make_code()

    assert program(user).post("/redemptions", {"code": typed(code)}).status == 201
    assert balance_of(user) == 500


def test_a_request_sent_again_is_answered_again_and_pays_once(program) -> None:
    user, code = make_user(), make_code(uses_per_code=2, uses_per_user=2)
    asks = program(user)

    first, again = (asks.post("/redemptions", {"code": code}, Idempotency_Key="1") for _ in range(2))

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert balance_of(user) == 500


def test_a_redeemed_code_is_told_to_webhooks_without_the_code(program) -> None:
    make_webhook(events=["code.redeemed"])
    user, text = make_user(), make_code()

    answer = program(user).post("/redemptions", {"code": text})

    code = code_of(text)
    delivery = WebhookDelivery.objects.get()
    assert delivery.payload["event"] == "code.redeemed"
    assert delivery.payload["data"] == {
        "entry_id": answer.body["id"],
        "kind": "redemption",
        "user_id": user.pk,
        "username": user.username,
        "amount": 500,
        "balance_after": 500,
        "actor_id": user.pk,
        "memo": f"…{code.hint}",
        "code_id": code.pk,
        "code_hint": text[-6:-2],
        "batch_id": code.batch_id,
    }
    assert text not in str(delivery.payload)


# --- Codes with terms -----------------------------------------------------------------------------


def test_a_code_with_several_uses_is_redeemed_so_often_by_different_people(program) -> None:
    code = make_code(uses_per_code=2)
    people = [make_user() for _ in range(3)]

    answers = [program(person).post("/redemptions", {"code": code}) for person in people]

    assert [answer.status for answer in answers] == [201, 201, 409]
    assert [balance_of(person) for person in people] == [500, 500, 0]
    assert code_of(code).status == "used"


def test_one_person_has_as_many_uses_of_a_code_as_are_allowed(program) -> None:
    code, user = make_code(uses_per_code=5, uses_per_user=2), make_user()
    asks = program(user)

    statuses = [asks.post("/redemptions", {"code": code}).status for _ in range(3)]

    assert statuses == [201, 201, 409]
    assert balance_of(user) == 1_000
    assert program(make_user()).post("/redemptions", {"code": code}).status == 201


def test_a_code_for_a_group_is_redeemed_by_who_is_in_it(program) -> None:
    code, member = make_code(group="vip"), make_user(group="vip")

    assert program(member).post("/redemptions", {"code": code}).status == 201


def refused_codes(user: User) -> dict[str, str]:
    """Codes that this person cannot redeem now, each for another reason."""
    now, admin = timezone.now(), make_admin()
    once, other_once = make_codes(is_once_per_user=True, count=2)
    redeem(code=once, user=user, at=now)
    own = make_code(uses_per_code=2)
    redeem(code=own, user=user, at=now)
    used, disabled, reversed_ = make_code(), make_code(), make_code()
    redeem(code=used, user=make_user(), at=now)
    disable(disabled)
    reverse(actor=admin, entry=redeem(code=reversed_, user=user, at=now), memo="m", at=now)
    ended: dict[str, CodeBatch] = {name: make_batch() for name in ("disabled", "revoked")}
    in_ended = {f"of a {name} batch": codes_in_clear(batch)[0] for name, batch in ended.items()}
    batches.set_batch_status(actor=admin, batch=ended["disabled"], is_enabled=False)
    batches.revoke_batch(actor=admin, batch=ended["revoked"])
    return in_ended | {
        "unknown": NOBODYS,
        "unknown, of One API": "0" * 32,
        "used": used,
        "disabled": disabled,
        "taken back": reversed_,
        "used by the same person": own,
        "another of a batch of which one is enough": other_once,
        "for another group": make_code(group="vip"),
        "not yet valid": make_code(valid_from=now + DAY),
        "expired": make_code(at=now - 2 * DAY, valid_until=now - DAY),
    }


def test_every_refusal_of_a_code_is_the_same(program, settings) -> None:
    settings.REDEEM_FAILURES_PER_USER = 100
    user = make_user()
    codes = refused_codes(user)
    before = balance_of(user)
    asks = program(user)

    answers = {why: asks.post("/redemptions", {"code": code}) for why, code in codes.items()}

    bodies = {
        why: {name: value for name, value in answer.body.items() if name != "request_id"}
        for why, answer in answers.items()
    }
    assert bodies == dict.fromkeys(codes, bodies["unknown"])
    assert len(codes) == 12
    assert (bodies["unknown"]["status"], bodies["unknown"]["code"]) == (409, "code_not_redeemable")
    assert balance_of(user) == before


def test_a_refused_code_can_be_sent_again_under_the_same_key_once_it_is_good(program) -> None:
    user, code = make_user(), make_code()
    disable(code)
    asks = program(user)
    refused = asks.post("/redemptions", {"code": code}, Idempotency_Key="1")
    set_code_status(actor=None, code=code_of(code), is_enabled=True)

    done = asks.post("/redemptions", {"code": code}, Idempotency_Key="1")

    assert (refused.status, done.status) == (409, 201)
    assert balance_of(user) == 500


def test_a_code_that_would_make_a_balance_too_large_stays_good(program) -> None:
    user, code = make_user(balance=1), make_code(quota=MAX_QUOTA)

    answer = program(user).post("/redemptions", {"code": code})

    assert (answer.status, answer.code) == (422, "quota_too_large")
    assert RedemptionCode.objects.get().status == "enabled"
    assert balance_of(user) == 1


# --- What is no code ------------------------------------------------------------------------------


def with_a_wrong_symbol(code: str) -> str:
    return ("1" if code[0] == "0" else "0") + code[1:]


MISTYPED: dict[str, tuple[Callable[[str], str], str]] = {
    "one symbol is another": (with_a_wrong_symbol, "its last character does not fit the others"),
    "the check is missing": (lambda code: code[:-2], "This has 16 characters; codes have 17."),
    "one is too many": (lambda code: code + "0", "This has 18 characters; codes have 17."),
    "it is one letter": (lambda _code: "x", "This has 1 character; codes have 17."),
    "it is dashes": (lambda _code: "-", "This has 0 characters; codes have 17."),
    "there is a sign that no code has": (lambda code: "U" + code[1:], "“U” occurs in no code."),
    "it is a word": (lambda _code: "ſ" * 128, "This has 128 characters; codes have 17."),
}


@pytest.mark.parametrize("why", MISTYPED)
def test_a_mistyped_code_is_told_as_such_and_is_no_attempt(program, why) -> None:
    change, message = MISTYPED[why]
    user, code = make_user(), make_code()
    asks = program(user)

    answers = [asks.post("/redemptions", {"code": change(code)}) for _ in range(12)]

    assert {(answer.status, answer.code) for answer in answers} == {(422, "code_mistyped")}
    assert message in answers[0].body["detail"]
    assert "did not count as an attempt" in answers[0].body["remedy"]
    assert not RefusedAttempts.objects.exists()
    assert asks.post("/redemptions", {"code": code}).status == 201


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
def test_what_is_no_text_is_refused_naming_the_field(program, body, field) -> None:
    answer = program(make_user()).post("/redemptions", body)

    assert (answer.status, answer.code) == (422, "invalid_request")
    assert answer.wrong_fields == [field]


def test_a_visitor_redeems_nothing() -> None:
    code = make_code()

    assert Program().post("/redemptions", {"code": code}).status == 401
    assert RedemptionCode.objects.get().status == "enabled"


def test_a_token_that_may_only_read_redeems_nothing(program) -> None:
    answer = program(make_user(), "read", "tokens").post("/redemptions", {"code": make_code()})

    assert (answer.status, answer.code) == (403, "missing_scope")
    assert RedemptionCode.objects.get().status == "enabled"


# --- Who redeemed ---------------------------------------------------------------------------------


def redeemed(user: User, *, at: datetime = NOON, **terms: Any) -> LedgerEntry:
    return redeem(code=make_code(**terms), user=user, at=at)


def listed(asks: Program, **filters: object) -> list[int]:
    """The entries of the redemptions that are listed, in their order."""
    answer = asks.get(f"/redemptions?{urlencode(filters)}")
    assert answer.status == 200
    return [item["entry_id"] for item in answer.body["items"]]


def test_a_redemption_says_what_it_gave_and_whether_it_was_taken_back(program) -> None:
    user, text = make_user(), make_code(uses_per_code=2)
    first = redeem(code=text, user=make_user(), at=NOON)
    entry = redeem(code=text, user=user, at=NOON)
    asks = program(user, "read")

    [before] = asks.get("/redemptions").body["items"]
    reversal = reverse(actor=make_admin(), entry=entry, memo="m", at=NOON)
    [after] = asks.get("/redemptions").body["items"]

    code = code_of(text)
    assert first.pk != entry.pk
    assert before == {
        "id": before["id"],
        "code_id": code.pk,
        "code_hint": text[-6:-2],
        "batch_id": code.batch_id,
        "number": 2,
        "user_id": user.pk,
        "quota": 500,
        "entry_id": entry.pk,
        "reversed_by_id": None,
        "created_at": "2026-03-02T12:00:00.000000Z",
    }
    assert after == {**before, "reversed_by_id": reversal.pk}


def test_people_see_their_own_and_operators_what_is_below_root(program) -> None:
    user, admin, root = make_user(), make_admin(), make_root()
    by_user, by_other, by_admin, by_root = (
        redeemed(person).pk for person in (user, make_user(), make_admin(), root)
    )

    assert listed(program(user, "redeem")) == [by_user]
    assert listed(program(admin, "read")) == [by_admin, by_other, by_user]
    assert listed(program(root)) == [by_root, by_admin, by_other, by_user]


def test_nobody_sees_more_by_asking_for_it(program) -> None:
    user, other, root = make_user(), make_user(), make_root()
    redeemed(other)
    redeemed(root)

    assert listed(program(user), user=other.pk) == []
    assert listed(program(make_admin()), user=root.pk) == []


def test_redemptions_are_narrowed(program) -> None:
    user, batch = make_user(), make_batch(count=2)
    codes = codes_in_clear(batch)
    early = redeem(code=codes[0], user=user, at=NOON - DAY).pk
    noon = redeem(code=codes[1], user=make_user(), at=NOON).pk
    late = redeemed(user, at=NOON + DAY).pk
    asks = program(make_admin())

    assert listed(asks, user=user.pk) == [late, early]
    assert listed(asks, batch=batch.pk) == [noon, early]
    assert listed(asks, since="2026-03-02T12:00:00Z") == [late, noon]
    assert listed(asks, until="2026-03-02T12:00:00Z") == [early]
    assert listed(asks, since="2026-03-02T20:00:00+08:00", until="2026-03-02T12:00:00.000001Z") == [noon]
    assert listed(asks, user=user.pk, batch=batch.pk) == [early]
    assert listed(asks, batch=10**15) == []


def test_redemptions_are_paged_by_time_also_where_many_are_of_one_moment(program) -> None:
    user, asks = make_user(), program(make_admin())
    entries = [redeemed(user, at=NOON + DAY).pk, *(redeemed(user).pk for _ in range(4))]
    pages, query = [], "limit=2"

    for _ in range(3):
        body = asks.get(f"/redemptions?{query}").body
        pages.append([item["entry_id"] for item in body["items"]])
        query = f"limit=2&cursor={body['next_cursor']}"

    later, *at_noon = entries
    newest_first = [later, *sorted(at_noon, reverse=True)]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert body["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=201", "query.limit"),
        ("cursor=5", "query.cursor"),
        ("cursor=-1-5", "query.cursor"),
        ("cursor=%D9%A3-5", "query.cursor"),
        ("user=0", "query.user"),
        ("batch=x", "query.batch"),
        ("since=yesterday", "query.since"),
        ("until=2026-03-02", "query.until"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused_naming_the_field(program, query, field) -> None:
    answer = program(make_user()).get(f"/redemptions?{query}")

    assert (answer.status, answer.wrong_fields) == (422, [field])


def test_a_list_of_many_redemptions_takes_as_many_queries_as_one_of_few(program) -> None:
    asks = program(make_admin())
    for _ in range(10):
        reverse(actor=make_root(), entry=redeemed(make_user()), memo="m", at=NOON)

    assert queries_of(asks, "/redemptions?limit=2") == queries_of(asks, "/redemptions?limit=10")


def test_a_visitor_and_a_token_without_the_scope_see_no_redemptions(program) -> None:
    answer = program(make_root(), "users", "topup").get("/redemptions")

    assert Program().get("/redemptions").status == 401
    assert (answer.status, answer.code) == (403, "missing_scope")


@pytest.mark.django_db(transaction=True)
def test_after_everything_the_books_are_right(program, settings) -> None:
    settings.REDEEM_FAILURES_PER_USER = 100
    user = make_user()
    for code in refused_codes(user).values():
        program(user).post("/redemptions", {"code": code})

    assert [check.code for check in audit_ledger() if check.broken] == []


def test_a_token_for_redeeming_alone_reads_ones_own_redemptions_also_an_operators(program) -> None:
    admin, codes = make_admin(), make_codes(count=2)
    redeem(code=codes[0], user=make_user(), at=NOON)
    redeem(code=codes[1], user=admin, at=NOON)

    alone = program(admin, "redeem").get("/redemptions").body["items"]
    with_codes = program(admin, "redeem", "codes").get("/redemptions").body["items"]

    assert [item["user_id"] for item in alone] == [admin.pk]
    assert len(with_codes) == len(program(admin, "read").get("/redemptions").body["items"]) == 2
