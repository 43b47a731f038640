"""Single codes, for programs: finding them, disabling them, taking back what they gave."""

from typing import Any

import pytest

from accounts.models import AuditEvent, IdempotencyRecord, User
from billing.models import EntryKind, LedgerEntry
from billing.services.approval_settings import set_approval_threshold
from billing.services.calls import settle
from billing.services.reversals import reverse
from redemption import code_format, queries
from redemption.models import RedemptionCode
from redemption.services.codes import set_code_status
from redemption.services.redeeming import redeem
from redemption.services.secrets import code_digests
from tests.api.conftest import Program, queries_of
from tests.factories import (
    NOON,
    balance_of,
    codes_in_clear,
    make_admin,
    make_batch,
    make_channel,
    make_code,
    make_codes,
    make_root,
    make_token,
    make_user,
    settlement,
)
from tests.stateful.comparing import audit as check_the_books

pytestmark = pytest.mark.django_db
BACK = {"memo": "a mistake"}


def code_of(text: str) -> RedemptionCode:
    return queries.codes_found(text).get()


def redeemed(user: User | None = None, **terms: Any) -> tuple[RedemptionCode, LedgerEntry]:
    """A code and the entry that it made."""
    text = make_code(**terms)
    entry = redeem(code=text, user=user or make_user(), at=NOON)
    return code_of(text), entry


def shared(*users: User) -> tuple[RedemptionCode, list[LedgerEntry]]:
    """A code that several people have redeemed, and its entries."""
    text = make_code(uses_per_code=len(users) + 1)
    entries = [redeem(code=text, user=user, at=NOON) for user in users]
    return code_of(text), entries


def spend(user: User, quota: int) -> None:
    settle(settlements=[settlement(make_token(user), make_channel(), quota=quota)], at=NOON)


def as_if_redeemed(*codes: RedemptionCode, hint: str) -> None:
    """Codes that somebody has used once, with last characters as they are wanted."""
    used = {"used_count": 1, "redeemed_by": make_user(), "redeemed_at": NOON}
    RedemptionCode.objects.filter(pk__in=[code.pk for code in codes]).update(hint=hint, **used)


def reverse_path(code: RedemptionCode) -> str:
    return f"/codes/{code.pk}/reverse"


def one_api_code() -> str:
    """A code as One API made them, which is found in the database and made no more."""
    bits = bytes(range(16))
    batch = make_batch()
    RedemptionCode.objects.create(batch=batch, digest=code_digests(bits)[0], hint=bits.hex()[-4:].upper())
    return bits.hex()


# --- The codes of a batch -------------------------------------------------------------------------


def test_the_codes_of_a_batch_tell_who_redeemed_them_and_can_be_narrowed(program) -> None:
    batch = make_batch()
    codes = codes_in_clear(batch)
    make_batch()
    user = make_user()
    redeem(code=codes[0], user=user, at=NOON)
    set_code_status(actor=None, code=code_of(codes[1]), is_enabled=False)
    asks, path = program(make_admin(), "read"), f"/code-batches/{batch.pk}/codes"

    everything = asks.get(path).body["items"]
    [used] = asks.get(f"{path}?status=used").body["items"]

    newest_first = RedemptionCode.objects.filter(batch=batch).order_by("-pk")
    assert [item["id"] for item in everything] == [code.pk for code in newest_first]
    assert sorted(item["hint"] for item in everything) == sorted(code_of(code).hint for code in codes)
    assert used == {
        "id": code_of(codes[0]).pk,
        "batch_id": batch.pk,
        "hint": codes[0][-6:-2],
        "quota": 500,
        "status": "used",
        "used_count": 1,
        "uses_left": 0,
        "redeemed_by_id": user.pk,
        "redeemed_at": "2026-03-02T12:00:00.000000Z",
    }
    for status in ("enabled", "disabled"):
        assert [item["status"] for item in asks.get(f"{path}?status={status}").body["items"]] == [status]
    assert asks.get(f"{path}?status=lost").wrong_fields == ["query.status"]


@pytest.mark.parametrize("typed", [str, str.lower, lambda hint: hint.replace("0", "O").replace("1", "i")])
def test_the_codes_of_a_batch_are_found_by_their_last_characters(program, typed) -> None:
    batch = make_batch(count=3)
    wanted, other, unused = batch.codes.all()
    as_if_redeemed(wanted, hint="X01Z")
    as_if_redeemed(other, hint="ABCD")
    RedemptionCode.objects.filter(pk=unused.pk).update(hint="X01Z")
    asks, path = program(make_admin()), f"/code-batches/{batch.pk}/codes"

    items = asks.get(f"{path}?hint={typed('X01Z')}").body["items"]

    assert [item["id"] for item in items] == [wanted.pk]
    assert asks.get(f"{path}?hint={typed('X01Z')}&status=used").body["items"] == []
    assert asks.get(f"{path}?hint=ABCDE").wrong_fields == ["query.hint"]


def test_the_codes_of_a_batch_are_paged(program) -> None:
    batch = make_batch()
    asks, path = program(make_admin()), f"/code-batches/{batch.pk}/codes"

    first = asks.get(f"{path}?limit=2").body
    second = asks.get(f"{path}?limit=2&cursor={first['next_cursor']}").body

    ids = [item["id"] for item in first["items"] + second["items"]]
    assert ids == sorted((code.pk for code in batch.codes.all()), reverse=True)
    assert second["next_cursor"] is None


def test_a_list_of_many_codes_takes_as_many_queries_as_one_of_few(program) -> None:
    batch = make_batch(count=20)
    for code in codes_in_clear(batch):
        redeem(code=code, user=make_user(), at=NOON)
    asks, path = program(make_admin()), f"/code-batches/{batch.pk}/codes"

    assert queries_of(asks, f"{path}?limit=2") == queries_of(asks, f"{path}?limit=20")


# --- Finding one ----------------------------------------------------------------------------------


def written_in_full_width(code: str) -> str:
    return code.translate({ord(sign): ord(sign) + 0xFEE0 for sign in code_format.ALPHABET})


@pytest.mark.parametrize(
    "typed",
    [
        str,
        str.lower,
        lambda code: code.replace("-", ""),
        lambda code: f"  {code.replace('-', ' — ')}\n",
        lambda code: code.replace("0", "o").replace("1", "L"),
        written_in_full_width,
    ],
)
def test_a_code_is_found_by_itself_in_any_form_with_the_scope_to_read(program, typed) -> None:
    wanted, *_others = make_codes()

    answer = program(make_admin(), "read").post("/codes/search", {"code": typed(wanted)})

    assert answer.status == 200
    assert [(item["id"], item["hint"]) for item in answer.body["items"]] == [
        (code_of(wanted).pk, wanted[-6:-2])
    ]
    assert wanted not in str(answer.body)


def test_a_code_that_nobody_made_is_not_found(program) -> None:
    make_codes()

    answer = program(make_admin()).post("/codes/search", {"code": "0000-0000-0000-0000-0"})

    assert (answer.status, answer.body) == (200, {"items": []})


@pytest.mark.parametrize("typed", [str, str.lower, lambda hint: f" {hint[:2]}-{hint[2:]} "])
def test_codes_are_found_by_their_last_four_characters_the_newest_first(program, typed) -> None:
    codes = make_batch(count=60).codes.order_by("-pk")
    as_if_redeemed(*codes, hint="WXYZ")
    RedemptionCode.objects.filter(pk__in=[code.pk for code in make_batch().codes.all()]).update(hint="WXYZ")

    items = program(make_admin()).post("/codes/search", {"code": typed("WXYZ")}).body["items"]

    assert [item["id"] for item in items] == [code.pk for code in codes][:50]


def test_a_code_of_one_api_is_found_and_redeemed(program) -> None:
    text, user = one_api_code(), make_user()
    asks = program(make_admin())

    [found] = asks.post("/codes/search", {"code": text.upper()}).body["items"]
    redemption = program(user).post("/redemptions", {"code": text})
    [by_hint] = asks.post("/codes/search", {"code": "0e0f"}).body["items"]

    assert (found["hint"], found["id"], found["status"]) == ("0E0F", by_hint["id"], "enabled")
    assert by_hint["redeemed_by_id"] == user.pk
    assert (redemption.status, balance_of(user)) == (201, 500)


@pytest.mark.parametrize("nonsense", ["x", "12345", "-", "0000-0000-0000-0000-1", "Ж" * 17, "?" * 128])
def test_what_can_be_no_code_is_not_looked_for(program, nonsense) -> None:
    answer = program(make_admin()).post("/codes/search", {"code": nonsense})

    assert (answer.status, answer.code) == (422, "code_mistyped")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.code"),
        ({"code": ""}, "body.code"),
        ({"code": "x" * 129}, "body.code"),
        ({"code": "nul\0"}, "body.code"),
        ({"code": 1234}, "body.code"),
        ({"code": "ABCD", "batch": 1}, "body.batch"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_naming_the_field(program, body, field) -> None:
    answer = program(make_admin()).post("/codes/search", body)

    assert (answer.status, answer.code, answer.wrong_fields) == (422, "invalid_request", [field])


def test_a_search_takes_as_many_queries_however_much_it_finds(program, django_assert_num_queries) -> None:
    for _ in range(3):
        as_if_redeemed(*make_batch(count=5).codes.all(), hint="WXYZ")
    few = make_code()
    asks = program(make_admin())
    asks.get("/me")

    with django_assert_num_queries(2):  # the access token and the codes
        assert len(asks.post("/codes/search", {"code": "WXYZ"}).body["items"]) == 15
    with django_assert_num_queries(2):
        assert len(asks.post("/codes/search", {"code": few}).body["items"]) == 1


# --- One code -------------------------------------------------------------------------------------


def test_a_code_tells_what_it_gave_to_whom(program) -> None:
    ann, bob = make_user(), make_user()
    code, entries = shared(ann, bob)
    taken_back = reverse(actor=make_admin(), entry=entries[0], memo="m", at=NOON)
    asks = program(make_admin(), "read")

    body = asks.get(f"/codes/{code.pk}").body

    told = [(entry["id"], entry["user_id"], entry["reversed_by_id"]) for entry in body["entries"]]
    assert told == [(entries[0].pk, ann.pk, taken_back.pk), (entries[1].pk, bob.pk, None)]
    assert (body["status"], body["used_count"], body["uses_left"]) == ("enabled", 2, 1)
    assert body["redeemed_by_id"] == bob.pk


def test_what_a_code_gave_to_root_is_roots_affair(program) -> None:
    root, user = make_root(), make_user()
    code, entries = shared(root, user)

    seen = {
        name: [entry["id"] for entry in program(asker).get(f"/codes/{code.pk}").body["entries"]]
        for name, asker in (("admin", make_admin()), ("root", root))
    }

    assert seen == {"admin": [entries[1].pk], "root": [entry.pk for entry in entries]}


def test_a_code_of_many_entries_takes_as_many_queries_as_one_of_few(program) -> None:
    few, many = shared(make_user())[0], shared(*(make_user() for _ in range(10)))[0]
    asks = program(make_admin())

    assert queries_of(asks, f"/codes/{few.pk}") == queries_of(asks, f"/codes/{many.pk}")


def test_a_code_is_disabled_and_enabled_again(program) -> None:
    text = make_code()
    code, user, asks = code_of(text), make_user(), program(make_admin(), "codes")

    disabled = asks.patch(f"/codes/{code.pk}", {"status": "disabled"})
    again = asks.patch(f"/codes/{code.pk}", {"status": "disabled"})
    batch = asks.get(f"/code-batches/{code.batch_id}").body
    refused = program(user).post("/redemptions", {"code": text})
    enabled = asks.patch(f"/codes/{code.pk}", {"status": "enabled"})
    redemption = program(user).post("/redemptions", {"code": text})

    assert [(answer.status, answer.body["status"]) for answer in (disabled, again, enabled)] == [
        (200, "disabled"),
        (200, "disabled"),
        (200, "enabled"),
    ]
    assert (batch["disabled_count"], batch["enabled_count"], batch["unused_quota"]) == (1, 0, 0)
    assert (refused.status, redemption.status) == (409, 201)
    assert AuditEvent.objects.filter(action="code.status_changed", subject_id=code.pk).count() == 2


@pytest.mark.parametrize("status", ["enabled", "disabled"])
def test_a_used_code_stays_used(program, status) -> None:
    code, _entry = redeemed()

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
    code = code_of(make_code())

    answer = program(make_admin()).patch(f"/codes/{code.pk}", body)

    code.refresh_from_db()
    assert (answer.status, answer.wrong_fields) == (422, [field])
    assert code.status == "enabled"


# --- Taking back what one gave --------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_a_code_gave_is_taken_back_and_it_stays_used(program) -> None:
    user, admin = make_user(balance=7), make_admin()
    code, entry = redeemed(user)

    answer = program(admin, "codes").post(reverse_path(code), BACK)

    code.refresh_from_db()
    told = ("kind", "amount", "reverses_id", "shortfall", "memo", "user_id", "actor_id", "reference")
    assert answer.status == 201
    assert {name: answer.body[name] for name in told} == {
        "kind": "reversal",
        "amount": -500,
        "reverses_id": entry.pk,
        "shortfall": 0,
        "memo": "a mistake",
        "user_id": user.pk,
        "actor_id": admin.pk,
        "reference": f"code:{code.pk}",
    }
    assert (code.status, balance_of(user)) == ("used", 7)
    check_the_books()


@pytest.mark.django_db(transaction=True)
def test_what_is_spent_is_taken_only_where_the_program_says_so(program) -> None:
    user = make_user()
    code, _entry = redeemed(user)
    spend(user, 300)
    asks = program(make_admin())

    whole = asks.post(reverse_path(code), BACK)
    part = asks.post(reverse_path(code), {**BACK, "allow_partial": True})

    assert (whole.status, whole.code) == (409, "quota_spent")
    assert (part.status, part.body["amount"], part.body["shortfall"]) == (201, -200, 300)
    assert balance_of(user) == 0
    check_the_books()


def test_what_a_code_gave_is_taken_back_once(program) -> None:
    user = make_user(balance=500)
    code, _entry = redeemed(user)
    asks = program(make_admin())
    asks.post(reverse_path(code), BACK)

    again = asks.post(reverse_path(code), BACK)

    assert (again.status, again.code) == (409, "already_reversed")
    assert balance_of(user) == 500


def test_a_request_sent_again_is_answered_again_and_takes_once(program) -> None:
    user = make_user(balance=500)
    code, _entry = redeemed(user)
    asks = program(make_admin())

    first, again = (asks.post(reverse_path(code), BACK, Idempotency_Key="1") for _ in range(2))
    other = asks.post(reverse_path(code), {"memo": "x"}, Idempotency_Key="1")

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert balance_of(user) == 500


def test_the_ledger_remembers_a_key_after_its_answer_was_forgotten(program) -> None:
    user = make_user(balance=500)
    code, _entry = redeemed(user)
    asks = program(make_admin())
    first = asks.post(reverse_path(code), BACK, Idempotency_Key="1")
    IdempotencyRecord.objects.all().delete()

    again = asks.post(reverse_path(code), BACK, Idempotency_Key="1")

    assert (again.status, again.body["id"]) == (201, first.body["id"])
    assert balance_of(user) == 500


def test_of_a_code_that_nobody_redeemed_there_is_nothing_to_take_back(program) -> None:
    code = code_of(make_code())

    answer = program(make_admin()).post(reverse_path(code), BACK)

    assert (answer.status, answer.code) == (409, "not_redeemed")
    assert code.hint in answer.body["detail"]


def test_of_a_code_that_several_redeemed_one_entry_is_named(program) -> None:
    ann, bob = make_user(), make_user()
    code, [_first, second] = shared(ann, bob)
    asks = program(make_admin())

    unnamed = asks.post(reverse_path(code), BACK)
    named = asks.post(reverse_path(code), {**BACK, "entry_id": second.pk})

    assert (unnamed.status, unnamed.code) == (409, "which_redemption")
    assert "entry_id" in unnamed.body["remedy"]
    assert (named.status, named.body["reverses_id"]) == (201, second.pk)
    assert (balance_of(ann), balance_of(bob)) == (500, 0)


def test_an_entry_that_is_not_of_the_code_is_not_found(program) -> None:
    user = make_user(balance=5)
    code, _entry = redeemed(user)
    _other_code, of_another = redeemed()
    reversal = reverse(actor=make_root(), entry=redeemed()[1], memo="m", at=NOON)
    top_up = LedgerEntry.objects.get(account=user.pk, kind=EntryKind.TOP_UP)
    asks = program(make_admin())

    statuses = [
        asks.post(reverse_path(code), {**BACK, "entry_id": pk}).status
        for pk in (of_another.pk, top_up.pk, reversal.pk, 10**15)
    ]

    assert statuses == [404] * 4
    assert balance_of(user) == 505


def test_an_entry_of_a_code_that_was_never_redeemed_is_not_found(program) -> None:
    code = code_of(make_code())
    _other, entry = redeemed()

    assert program(make_admin()).post(reverse_path(code), {**BACK, "entry_id": entry.pk}).status == 404


def test_nobody_takes_back_from_whom_they_may_not_manage(program) -> None:
    root, admin = make_root(), make_admin()
    roots, admins, own = redeemed(root)[0], redeemed(make_admin())[0], redeemed(admin)[0]

    refused = [program(admin).post(reverse_path(code), BACK).status for code in (roots, admins, own)]
    done = [program(root).post(reverse_path(code), BACK).status for code in (roots, admins)]

    assert refused == [404, 403, 403]
    assert done == [201, 201]


@pytest.mark.django_db(transaction=True)
def test_what_is_above_the_amount_waits_for_another_operator(program) -> None:
    user = make_user()
    code, entry = redeemed(user)
    set_approval_threshold(actor=make_root(), threshold=499)

    kept = program(make_admin()).post(reverse_path(code), BACK, Idempotency_Key="1")
    before = balance_of(user)
    approved = program(make_admin()).post(f"/approvals/{kept.body['id']}/approve", None)

    told = {name: kept.body[name] for name in ("kind", "status", "amount", "user_id")}
    assert kept.status == 202
    assert told == {"kind": "reversal", "status": "open", "amount": -500, "user_id": user.pk}
    assert before == 500
    reversal = LedgerEntry.objects.get(reverses=entry)
    assert (approved.status, approved.body["entry_ids"]) == (200, [reversal.pk])
    assert balance_of(user) == 0
    check_the_books()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.memo"),
        ({"memo": None}, "body.memo"),
        ({"memo": "x" * 256}, "body.memo"),
        ({"memo": "m", "allow_partial": 1}, "body.allow_partial"),
        ({"memo": "m", "entry_id": "5"}, "body.entry_id"),
        ({"memo": "m", "entry_id": 0}, "body.entry_id"),
        ({"memo": "m", "quota": 5}, "body.quota"),
    ],
)
def test_a_reversal_that_makes_no_sense_is_refused_naming_the_field(program, body, field) -> None:
    code, _entry = redeemed()

    answer = program(make_admin()).post(reverse_path(code), body)

    assert (answer.status, answer.wrong_fields) == (422, [field])
    assert not LedgerEntry.objects.filter(kind=EntryKind.REVERSAL).exists()


# --- Who may --------------------------------------------------------------------------------------

OPERATIONS = [
    ("POST", "/codes/search", {"code": "ABCD"}),
    ("GET", "/codes/{code}", None),
    ("PATCH", "/codes/{code}", {"status": "disabled"}),
    ("POST", "/codes/{code}/reverse", BACK),
]
OF_ONE = OPERATIONS[1:]
WRITES = OPERATIONS[2:]


def a_shared_code() -> RedemptionCode:
    return shared(make_user())[0]


def assert_nothing_was_done(code: RedemptionCode) -> None:
    code.refresh_from_db()
    assert code.status == "enabled"
    assert not LedgerEntry.objects.filter(kind=EntryKind.REVERSAL).exists()


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_codes_are_for_operators(program, method, path, body) -> None:
    code = a_shared_code()
    path = path.format(code=code.pk)

    visitor = Program().ask(method, path, body)
    user = program(make_user()).ask(method, path, body)

    assert (visitor.status, visitor.code) == (401, "authentication_required")
    assert (user.status, user.code) == (403, "permission_denied")
    assert_nothing_was_done(code)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_token_that_may_only_read_changes_no_codes(program, method, path, body) -> None:
    code = a_shared_code()

    answer = program(make_root(), "read", "redeem").ask(method, path.format(code=code.pk), body)

    assert (answer.status, answer.code) == (403, "missing_scope")
    assert_nothing_was_done(code)


def test_a_token_that_may_neither_read_nor_change_codes_finds_none(program) -> None:
    answer = program(make_root(), "redeem", "users").post("/codes/search", {"code": "ABCD"})

    assert (answer.status, answer.code) == (403, "missing_scope")


@pytest.mark.parametrize("pk", [999_999, 2**63 - 1])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_what_is_not_there_is_not_found(program, method, path, body, pk) -> None:
    make_batch()

    assert program(make_admin()).ask(method, path.format(code=pk), body).status == 404


@pytest.mark.parametrize("pk", ["0", "-1", str(2**63), "x"])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_what_is_no_number_is_refused(program, method, path, body, pk) -> None:
    assert program(make_admin()).ask(method, path.format(code=pk), body).status == 422
