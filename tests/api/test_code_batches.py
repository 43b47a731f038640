"""Batches of codes, for programs: making them, following them, ending them."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, IdempotencyRecord
from billing.services.approval_settings import set_approval_threshold
from oneapi_admin.lib.quota import MAX_QUOTA
from oneapi_admin.lib.secrets import decrypt
from redemption import queries, tasks
from redemption.models import BatchStatus, CodeBatch, RedemptionCode, SealedCodes
from redemption.services import batches, code_parts, making
from redemption.services.codes import set_code_status
from redemption.services.redeeming import redeem
from tests.api.conftest import Program, queries_of
from tests.factories import (
    NOON,
    balance_of,
    codes_in_clear,
    make_admin,
    make_batch,
    make_root,
    make_user,
)

pytestmark = pytest.mark.django_db
NEW = {"name": "spring", "quota": 500, "count": 3}
MANY = {**NEW, "count": 1_001}
MONTH = timedelta(days=30)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was asked for that no worker does here."""
    asked: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(batches, "enqueue", lambda name, **arguments: asked.append((name, arguments)))
    return asked


def moment(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def ordered(**terms: Any) -> CodeBatch:
    """A batch whose codes are not made yet."""
    asked = batches.BatchTerms(**{**NEW, **terms})
    return batches.create_batch(actor=make_admin(), terms=asked, at=NOON)


def failed() -> CodeBatch:
    batch = ordered()
    batches.fail_batch(batch_id=batch.pk, reason="OperationalError")
    return batch


def acts() -> list[str]:
    """What was audited of codes, the oldest first."""
    events = AuditEvent.objects.filter(action__startswith="code").order_by("pk")
    return [event.action for event in events]


def code_of(text: str) -> RedemptionCode:
    return queries.codes_found(text).get()


# --- Making ---------------------------------------------------------------------------------------


def test_codes_are_made_shown_once_and_good(program) -> None:
    admin, user = make_admin(), make_user()
    asks = program(admin, "codes")

    made = asks.post("/code-batches", NEW)
    path = f"/code-batches/{made.body['id']}"
    later = [asks.get(path), asks.get("/code-batches"), asks.get(f"{path}/codes")]

    codes = made.body["codes"]
    redeem(code=codes[2], user=user, at=timezone.now())
    assert made.status == 201
    assert len(set(codes)) == 3
    assert made.body["created_by_id"] == admin.pk
    told = ("name", "quota", "count", "made_count", "enabled_count", "used_count", "state")
    assert {name: made.body[name] for name in told} == {
        **NEW,
        "made_count": 3,
        "enabled_count": 3,
        "used_count": 0,
        "state": "active",
    }
    assert all(code not in str(answer) for code in codes for answer in later)
    assert balance_of(user) == 500
    assert acts() == ["code_batch.created", "code_batch.downloaded"]


def test_what_is_said_of_codes_comes_back_and_is_kept(program) -> None:
    since, until = timezone.now() + MONTH, timezone.now() + 2 * MONTH
    terms = {
        "note": "for the fair",
        "tag": "fair",
        "valid_from": moment(since),
        "valid_until": moment(until),
        "uses_per_code": 5,
        "uses_per_user": 2,
        "is_once_per_user": True,
        "group": "vip",
    }
    asks = program(make_admin())

    made = asks.post("/code-batches", {**NEW, **terms})
    read = asks.get(f"/code-batches/{made.body['id']}").body

    assert made.status == 201
    assert {name: made.body[name] for name in terms} == terms
    assert {name: read[name] for name in terms} == terms
    assert read["state"] == "scheduled"
    assert read["unused_quota"] == 3 * 5 * 500
    batch = CodeBatch.objects.get()
    assert (batch.valid_from, batch.valid_until, batch.group) == (since, until, "vip")


def test_what_is_not_said_is_the_simplest(program) -> None:
    body = program(make_admin()).post("/code-batches", NEW).body

    simple = {
        "note": "",
        "tag": "",
        "valid_from": None,
        "valid_until": None,
        "uses_per_code": 1,
        "uses_per_user": 1,
        "is_once_per_user": False,
        "group": "",
        "failure": "",
    }
    assert {name: body[name] for name in simple} == simple


def test_a_moment_in_any_offset_is_the_same_moment(program) -> None:
    asks = program(make_admin())

    body = asks.post("/code-batches", {**NEW, "valid_until": "2099-01-01T00:00:00+08:00"}).body

    assert body["valid_until"] == "2098-12-31T16:00:00.000000Z"


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


def test_the_stored_answer_has_no_codes_and_repeats_them_only_while_they_can_be_read(program) -> None:
    asks = program(make_admin())
    first = asks.post("/code-batches", NEW, Idempotency_Key="1")

    stored = decrypt("accounts.idempotency", IdempotencyRecord.objects.get().encrypted_body)
    asks.post(f"/code-batches/{first.body['id']}/confirm-download", {})
    again = asks.post("/code-batches", NEW, Idempotency_Key="1")

    assert not [code for code in first.body["codes"] if code in stored]
    assert (again.status, again.body) == (201, {**first.body, "codes": None})


def test_a_thousand_codes_are_made_at_once(program, jobs) -> None:
    made = program(make_admin()).post("/code-batches", {**NEW, "count": 1_000, "quota": MAX_QUOTA})

    assert (made.status, len(set(made.body["codes"]))) == (201, 1_000)
    assert made.body["unused_quota"] == 1_000 * MAX_QUOTA
    assert jobs == []


def test_more_codes_are_made_by_a_job_and_then_exported(
    program, jobs, django_capture_on_commit_callbacks
) -> None:
    asks = program(make_admin())

    with django_capture_on_commit_callbacks(execute=True):
        made = asks.post("/code-batches", MANY)
    path = f"/code-batches/{made.body['id']}"
    before = asks.get(path).body
    [(name, arguments)] = jobs
    tasks.make_codes(**arguments)
    after = asks.get(path).body
    file = asks.get(f"{path}/export?format=txt")

    assert (made.status, made.body["codes"], made.body["state"]) == (201, None, "creating")
    assert (name, arguments) == ("redemption.make_codes", {"batch_id": made.body["id"]})
    told = ("state", "made_count", "enabled_count", "unused_quota", "readable_until")
    assert [before[name] for name in told] == ["creating", 0, 0, 0, None]
    assert [after[name] for name in told[:4]] == ["active", 1_001, 1_001, 1_001 * 500]
    assert after["readable_until"] is not None
    assert len(set(file.body.split())) == 1_001


def test_many_codes_asked_for_again_are_one_batch_and_other_ones_are_refused(
    program, jobs, django_capture_on_commit_callbacks
) -> None:
    asks = program(make_admin())

    with django_capture_on_commit_callbacks(execute=True):
        first, again = (asks.post("/code-batches", MANY, Idempotency_Key="1") for _ in range(2))
        other = asks.post("/code-batches", {**MANY, "count": 1_002}, Idempotency_Key="1")

    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status, other.code) == (409, "idempotency_key_reused")
    assert CodeBatch.objects.count() == 1
    assert len(jobs) == 1


def test_the_largest_batch_is_accepted(program, jobs) -> None:
    made = program(make_admin()).post(
        "/code-batches", {**NEW, "count": 1_000_000, "uses_per_code": 1_000_000}
    )

    assert (made.status, made.body["count"]) == (201, 1_000_000)


def test_a_batch_that_is_being_made_tells_how_far_it_is(program, monkeypatch) -> None:
    batch, seen = ordered(count=1_002), []
    asks = program(make_admin())
    insert = code_parts.Part.insert

    def look(part: code_parts.Part) -> None:
        insert(part)
        seen.append(asks.get(f"/code-batches/{batch.pk}").body["made_count"])

    monkeypatch.setattr(code_parts, "SMALLEST_PART", 501)
    monkeypatch.setattr(code_parts, "LARGEST_PART", 501)
    monkeypatch.setattr(code_parts.Part, "insert", look)
    making.make_codes(batch=batch, at=NOON)

    assert seen == [0, 501]


def test_nothing_is_told_to_be_made_of_a_batch_that_nobody_makes(program) -> None:
    batch = ordered(count=1_001)
    making._report_progress(batch, 2)
    asks = program(make_admin())

    creating = asks.get(f"/code-batches/{batch.pk}").body["made_count"]
    cancelled = asks.post(f"/code-batches/{batch.pk}/cancel", None).body["made_count"]

    assert (creating, cancelled) == (2, 0)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"name": " "}, "body.name"),
        ({"name": "x" * 65}, "body.name"),
        ({"name": "nul\0"}, "body.name"),
        ({"note": "x" * 256}, "body.note"),
        ({"note": "nul\0"}, "body.note"),
        ({"note": None}, "body.note"),
        ({"tag": "x" * 33}, "body.tag"),
        ({"tag": "half\ud800"}, "body.tag"),
        ({"count": 0}, "body.count"),
        ({"count": 1_000_001}, "body.count"),
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
        ({"valid_from": "tomorrow"}, "body.valid_from"),
        ({"valid_from": "2026-03-02T12:00:00"}, "body.valid_from"),
        ({"valid_from": 1_800_000_000}, "body.valid_from"),
        ({"valid_until": "2026-02-30T12:00:00Z"}, "body.valid_until"),
        ({"valid_until": "9999-12-31T23:59:59Z"}, "body.valid_until"),
        ({"uses_per_code": 0}, "body.uses_per_code"),
        ({"uses_per_code": 1_000_001}, "body.uses_per_code"),
        ({"uses_per_code": None}, "body.uses_per_code"),
        ({"uses_per_user": 0}, "body.uses_per_user"),
        ({"uses_per_user": "1"}, "body.uses_per_user"),
        ({"is_once_per_user": 1}, "body.is_once_per_user"),
        ({"group": ""}, "body.group"),
        ({"group": "VIP"}, "body.group"),
        ({"group": "vip\n"}, "body.group"),
        ({"group": "x" * 33}, "body.group"),
        ({"group": "nul\0"}, "body.group"),
    ],
)
def test_a_batch_with_a_wrong_field_is_refused_naming_it(program, wrong, field) -> None:
    answer = program(make_admin()).post("/code-batches", {**NEW, **wrong})

    assert (answer.status, answer.code) == (422, "invalid_request")
    assert set(answer.wrong_fields) == {field}
    assert not CodeBatch.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"uses_per_user": 2}, "invalid_uses"),
        ({"uses_per_code": 2, "uses_per_user": 3}, "invalid_uses"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, "invalid_validity"),
        ({"valid_from": "2099-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z"}, "invalid_validity"),
        ({"valid_from": "2099-01-02T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z"}, "invalid_validity"),
    ],
)
def test_terms_that_contradict_each_other_are_refused(program, wrong, code) -> None:
    answer = program(make_admin()).post("/code-batches", {**NEW, **wrong}, Idempotency_Key="1")

    assert (answer.status, answer.code) == (422, code)
    assert not CodeBatch.objects.exists()


# --- Following ------------------------------------------------------------------------------------


def test_a_batch_counts_what_became_of_its_codes(program) -> None:
    batch = make_batch(count=4, uses_per_code=2)
    codes = codes_in_clear(batch)
    make_batch(count=2)
    for code in (codes[0], codes[0], codes[1], codes[2]):
        redeem(code=code, user=make_user(), at=NOON)
    set_code_status(actor=None, code=code_of(codes[1]), is_enabled=False)
    asks = program(make_admin(), "read")

    body = asks.get(f"/code-batches/{batch.pk}").body

    counts = {name: body[name] for name in body if name.endswith(("_count", "_quota"))}
    assert counts == {
        "made_count": 4,
        "enabled_count": 2,
        "disabled_count": 1,
        "used_count": 1,
        "redeemed_count": 4,
        "used_quota": 4 * 500,
        "unused_quota": 3 * 500,
    }
    assert asks.get("/code-batches").body["items"][1] == body


def a_batch_in_every_state() -> dict[str, CodeBatch]:
    now, admin = timezone.now(), make_admin()
    made = {
        "scheduled": make_batch(at=now, valid_from=now + MONTH),
        "active": make_batch(at=now, valid_from=now - MONTH, valid_until=now + MONTH),
        "expired": make_batch(at=now - 2 * MONTH, valid_until=now - MONTH),
        "disabled": make_batch(at=now),
        "revoked": make_batch(at=now),
        "creating": ordered(),
        "cancelled": ordered(),
        "failed": failed(),
    }
    batches.set_batch_status(actor=admin, batch=made["disabled"], is_enabled=False)
    batches.revoke_batch(actor=admin, batch=made["revoked"])
    batches.cancel_batch(actor=admin, batch=made["cancelled"])
    return made


def test_batches_are_listed_by_state_and_tell_theirs(program) -> None:
    made = a_batch_in_every_state()
    asks = program(make_admin(), "read")

    listed = {state: asks.get(f"/code-batches?state={state}").body["items"] for state in made}

    found = {state: [(item["id"], item["state"]) for item in items] for state, items in listed.items()}
    assert found == {state: [(batch.pk, state)] for state, batch in made.items()}
    assert listed["failed"][0]["failure"] == "OperationalError"
    assert len(asks.get("/code-batches").body["items"]) == len(made)
    assert asks.get("/code-batches?state=lost").wrong_fields == ["query.state"]


def test_batches_are_listed_by_tag(program) -> None:
    fair, _other = make_batch(tag="fair"), make_batch(tag="shop")
    asks = program(make_admin())

    items = asks.get("/code-batches?tag=fair").body["items"]

    assert [item["id"] for item in items] == [fair.pk]
    assert asks.get("/code-batches?tag=fair&state=disabled").body["items"] == []
    assert asks.get(f"/code-batches?tag={'x' * 33}").wrong_fields == ["query.tag"]


def test_batches_are_paged(program) -> None:
    made = [make_batch().pk for _ in range(3)]
    asks = program(make_admin())

    first = asks.get("/code-batches?limit=2").body
    second = asks.get(f"/code-batches?limit=2&cursor={first['next_cursor']}").body

    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None


def test_a_list_of_many_batches_takes_as_many_queries_as_one_of_few(program) -> None:
    asks = program(make_admin())
    for _ in range(20):
        make_batch()

    assert queries_of(asks, "/code-batches?limit=2") == queries_of(asks, "/code-batches?limit=20")


# --- Changing and ending --------------------------------------------------------------------------


def test_a_batch_is_disabled_and_enabled_again(program) -> None:
    batch, user = make_batch(count=1), make_user()
    [code] = codes_in_clear(batch)
    asks, path = program(make_admin(), "codes"), f"/code-batches/{batch.pk}"

    disabled = asks.patch(path, {"status": "disabled"})
    refused = program(user).post("/redemptions", {"code": code})
    enabled = asks.patch(path, {"status": "enabled"})
    again = asks.patch(path, {"status": "enabled"})
    redeemed = program(user).post("/redemptions", {"code": code})

    assert [(answer.status, answer.body["state"]) for answer in (disabled, enabled, again)] == [
        (200, "disabled"),
        (200, "active"),
        (200, "active"),
    ]
    assert (refused.status, redeemed.status) == (409, 201)
    assert acts()[2:] == ["code_batch.status_changed"] * 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.status"),
        ({"status": "revoked"}, "body.status"),
        ({"status": None}, "body.status"),
        ({"status": "disabled", "quota": 5}, "body.quota"),
    ],
)
def test_a_change_of_a_batch_that_makes_no_sense_is_refused_naming_the_field(program, body, field) -> None:
    batch = make_batch()

    answer = program(make_admin()).patch(f"/code-batches/{batch.pk}", body)

    batch.refresh_from_db()
    assert (answer.status, answer.wrong_fields) == (422, [field])
    assert batch.status == BatchStatus.READY


def test_a_revoked_batch_is_over_for_good_and_what_was_redeemed_stays(program) -> None:
    batch, user = make_batch(count=2, at=timezone.now()), make_user()
    used, unused = codes_in_clear(batch)
    redeem(code=used, user=user, at=timezone.now())
    asks, path = program(make_admin(), "codes"), f"/code-batches/{batch.pk}"

    revoked = asks.post(f"{path}/revoke", None)
    again = asks.post(f"{path}/revoke", None)
    enabled = asks.patch(path, {"status": "enabled"})
    refused = program(user).post("/redemptions", {"code": unused})

    assert (revoked.status, revoked.body["state"], revoked.body["readable_until"]) == (200, "revoked", None)
    assert [(answer.status, answer.code) for answer in (again, enabled)] == [(409, "batch_state")] * 2
    assert (refused.status, refused.code) == (409, "code_not_redeemable")
    assert not SealedCodes.objects.exists()
    assert balance_of(user) == 500
    assert acts()[2:] == ["code_batch.revoked"]


def test_making_codes_is_cancelled_and_none_are_made(program) -> None:
    batch = ordered()
    asks, path = program(make_admin(), "codes"), f"/code-batches/{batch.pk}"

    cancelled = asks.post(f"{path}/cancel", None)
    is_made = making.make_codes(batch=batch, at=NOON)
    again = asks.post(f"{path}/cancel", None)

    assert (cancelled.status, cancelled.body["state"]) == (200, "cancelled")
    assert (is_made, RedemptionCode.objects.count()) == (False, 0)
    assert (again.status, again.code) == (409, "batch_state")
    assert acts() == ["code_batch.created", "code_batch.cancelled"]


def test_what_is_made_already_is_not_cancelled(program) -> None:
    batch = make_batch()

    answer = program(make_admin()).post(f"/code-batches/{batch.pk}/cancel", None)

    batch.refresh_from_db()
    assert (answer.status, answer.code) == (409, "batch_state")
    assert batch.status == BatchStatus.READY


def test_codes_that_could_not_be_made_are_made_at_the_next_try(
    program, jobs, django_capture_on_commit_callbacks
) -> None:
    batch = failed()
    asks, path = program(make_admin(), "codes"), f"/code-batches/{batch.pk}"

    before = asks.get(path).body
    with django_capture_on_commit_callbacks(execute=True):
        retried = asks.post(f"{path}/retry", None)
    [(_name, arguments)] = jobs
    tasks.make_codes(**arguments)
    again = asks.post(f"{path}/retry", None)

    assert (before["state"], before["failure"]) == ("failed", "OperationalError")
    assert (retried.status, retried.body["state"], retried.body["failure"]) == (200, "creating", "")
    assert asks.get(path).body["state"] == "active"
    assert (again.status, again.code) == (409, "batch_state")
    assert acts() == ["code_batch.created", "code_batch.retried"]


@pytest.mark.parametrize(
    "operation", [("PATCH", "", {"status": "disabled"}), ("POST", "/revoke", None), ("POST", "/retry", None)]
)
def test_a_batch_that_is_being_made_can_only_be_cancelled(program, operation) -> None:
    method, path, body = operation
    batch = ordered()

    answer = program(make_admin()).ask(method, f"/code-batches/{batch.pk}{path}", body)

    assert (answer.status, answer.code) == (409, "batch_state")
    assert "Being made" in answer.body["detail"]
    assert acts() == ["code_batch.created"]


# --- Who may --------------------------------------------------------------------------------------

OPERATIONS = [
    ("GET", "/code-batches", None),
    ("POST", "/code-batches", NEW),
    ("GET", "/code-batches/{batch}", None),
    ("PATCH", "/code-batches/{batch}", {"status": "disabled"}),
    ("POST", "/code-batches/{batch}/cancel", None),
    ("POST", "/code-batches/{batch}/retry", None),
    ("POST", "/code-batches/{batch}/revoke", None),
    ("POST", "/code-batches/{batch}/confirm-download", None),
    ("GET", "/code-batches/{batch}/codes", None),
    ("GET", "/code-batches/{batch}/export", None),
]
OF_ONE = OPERATIONS[2:]
NEEDS_MORE_THAN_READ = [
    operation for operation in OPERATIONS if operation[0] != "GET" or operation[1].endswith("/export")
]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_batches_are_for_operators(program, method, path, body) -> None:
    batch = make_batch(at=timezone.now())
    before = acts()
    path = path.format(batch=batch.pk)

    visitor = Program().ask(method, path, body)
    user = program(make_user()).ask(method, path, body)

    assert (visitor.status, visitor.code) == (401, "authentication_required")
    assert (user.status, user.code) == (403, "permission_denied")
    assert acts() == before


@pytest.mark.parametrize(("method", "path", "body"), NEEDS_MORE_THAN_READ)
def test_a_token_that_may_only_read_makes_changes_and_exports_no_codes(program, method, path, body) -> None:
    batch = make_batch(at=timezone.now())
    before = acts()

    answer = program(make_root(), "read", "redeem").ask(method, path.format(batch=batch.pk), body)

    assert (answer.status, answer.code) == (403, "missing_scope")
    assert acts() == before


@pytest.mark.parametrize("pk", [999_999, 2**63 - 1])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_what_is_not_there_is_not_found(program, method, path, body, pk) -> None:
    make_batch()

    assert program(make_admin()).ask(method, path.format(batch=pk), body).status == 404


@pytest.mark.parametrize("pk", ["0", "-1", str(2**63), "x"])
@pytest.mark.parametrize(("method", "path", "body"), OF_ONE)
def test_what_is_no_number_is_refused(program, method, path, body, pk) -> None:
    assert program(make_admin()).ask(method, path.format(batch=pk), body).status == 422


def test_codes_above_the_amount_that_takes_two_operators_are_refused_to_all_but_root(program) -> None:
    root = make_root()
    set_approval_threshold(actor=root, threshold=1_499)

    refused = program(make_admin()).post("/code-batches", NEW)

    assert (refused.status, refused.code) == (409, "approval_required")
    assert not CodeBatch.objects.exists()
    assert program(root).post("/code-batches", NEW).status == 201
