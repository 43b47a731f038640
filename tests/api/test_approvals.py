"""Movements that another operator has to approve, as programs propose and decide them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import IdempotencyRecord, User
from accounts.services.idempotency import forget_idempotency_records
from billing.models import LedgerEntry, Proposal, UsageRecord
from billing.services.accounts import top_up
from billing.services.approval_settings import set_approval_threshold
from billing.services.calls import settle
from tests.factories import balance_of, make_admin, make_channel, make_root, make_token, make_user, settlement

pytestmark = pytest.mark.django_db
ABOVE = {"quota": 101, "memo": "order 7"}


@pytest.fixture(autouse=True)
def root() -> User:
    user = make_root()
    set_approval_threshold(actor=user, threshold=100)
    return user


@pytest.fixture
def user() -> User:
    return make_user(balance=1_000)


def path_of(user: User) -> str:
    return f"/users/{user.pk}/top-ups"


def test_what_is_above_the_amount_is_accepted_and_done_by_another_operator(program, user) -> None:
    first, second = make_admin(), make_admin()
    asks, approver = program(first), program(second, "topup", "read")

    kept = asks.post(path_of(user), ABOVE)
    before = balance_of(user)
    approved = approver.post(f"/approvals/{kept.body['id']}/approve", None)
    seen = asks.get(f"/approvals/{kept.body['id']}")

    assert kept.status == 202
    told = ("kind", "status", "amount", "memo", "user_id", "proposer_id", "entry_ids", "has_approver")
    assert {name: kept.body[name] for name in told} == {
        "kind": "top_up",
        "status": "open",
        "amount": 101,
        "memo": "order 7",
        "user_id": user.pk,
        "proposer_id": first.pk,
        "entry_ids": [],
        "has_approver": True,
    }
    assert kept.body["request"] == {"memo": "order 7", "user_id": user.pk, "quota": 101}
    assert before == 1_000
    entry = LedgerEntry.objects.latest("pk")
    assert (approved.status, approved.body["status"], approved.body["entry_ids"]) == (
        200,
        "approved",
        [entry.pk],
    )
    assert (entry.amount, entry.actor_id, approved.body["decided_by_id"]) == (101, first.pk, second.pk)
    assert seen.body == approved.body


def test_sent_again_with_its_key_it_is_the_same_answer_before_and_after_the_approval(program, user) -> None:
    asks, approver = program(make_admin()), program(make_admin())

    first = asks.post(path_of(user), ABOVE, Idempotency_Key="7")
    again = asks.post(path_of(user), ABOVE, Idempotency_Key="7")
    approved = [
        approver.post(f"/approvals/{first.body['id']}/approve", None, Idempotency_Key="a").body["status"]
        for _ in range(2)
    ]
    afterwards = asks.post(path_of(user), ABOVE, Idempotency_Key="7")
    forget_idempotency_records(before=timezone.now() + timedelta(days=1))
    much_later = asks.post(path_of(user), ABOVE, Idempotency_Key="7")

    assert (first.status, again.status, afterwards.status, much_later.status) == (202, 202, 202, 202)
    assert first.body == again.body == afterwards.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert approved == ["approved", "approved"]
    assert (much_later.body["id"], much_later.body["status"]) == (first.body["id"], "approved")
    assert balance_of(user) == 1_101
    assert IdempotencyRecord.objects.count() == 1


def test_every_movement_that_an_operator_makes_can_be_proposed(program, user) -> None:
    call = settlement(make_token(user), make_channel(), quota=200)
    settle(settlements=[call], at=call.created_at)
    entry = top_up(actor=make_admin(), user=user, quota=500, at=timezone.now())
    used = UsageRecord.objects.get()
    set_approval_threshold(actor=make_root(), threshold=None)
    asks, approver = program(make_admin()), program(make_admin())
    items = [{"user_id": person.pk, "quota": 60} for person in (user, make_user())]
    run = asks.post("/bulk/top-ups", {"items": items})
    set_approval_threshold(actor=make_root(), threshold=100)

    kept = [
        asks.post(f"/users/{user.pk}/adjustments", {"quota": -101, "memo": "m"}),
        asks.post(f"/usage/{used.pk}/refund", {"memo": "m"}),
        asks.post(f"/bulk-top-ups/{run.body['bulk_top_up_id']}/undo", {"memo": "m"}),
        asks.post("/bulk/top-ups", {"items": items, "memo": "m"}, Idempotency_Key="b"),
        asks.post(f"/ledger-entries/{entry.pk}/reverse", {"memo": "m"}),
    ]
    done = [approver.post(f"/approvals/{answer.body['id']}/approve", None) for answer in kept]

    assert [answer.status for answer in kept] == [202] * 5
    assert [(answer.body["kind"], answer.body["amount"]) for answer in kept] == [
        ("adjustment", -101),
        ("refund", 200),
        ("bulk_undo", -120),
        ("bulk_top_up", 120),
        ("reversal", -500),
    ]
    assert "idempotency_key" not in str(kept[3].body)
    assert [(answer.status, len(answer.body["entry_ids"])) for answer in done] == [
        (200, 1),
        (200, 1),
        (200, 2),
        (200, 2),
        (200, 1),
    ]


def test_a_look_at_a_bulk_top_up_needs_no_approval(program, user) -> None:
    looked = program(make_admin()).post(
        "/bulk/top-ups?preview=true", {"items": [{"user_id": user.pk, "quota": 101}]}
    )

    assert (looked.status, looked.body["total"]) == (200, 101)
    assert not Proposal.objects.exists()


def test_a_decision_is_refused_to_who_proposed_it_and_to_who_comes_second(program, user) -> None:
    asks, approver = program(make_admin()), program(make_admin())
    path = f"/approvals/{asks.post(path_of(user), ABOVE).body['id']}"

    own = asks.post(f"{path}/approve", None)
    others = approver.post(f"{path}/withdraw", None)
    rejected = approver.post(f"{path}/reject", {"note": "too much"})
    second = approver.post(f"{path}/approve", None)

    assert (own.status, own.code) == (403, "own_proposal")
    assert (others.status, others.code) == (403, "permission_denied")
    assert (rejected.status, rejected.body["status"], rejected.body["note"]) == (200, "rejected", "too much")
    assert (second.status, second.code) == (409, "proposal_decided")
    assert balance_of(user) == 1_000


def test_who_proposed_it_takes_it_back(program, user) -> None:
    asks = program(make_admin())
    path = f"/approvals/{asks.post(path_of(user), ABOVE).body['id']}"

    withdrawn = asks.post(f"{path}/withdraw", None)

    assert (withdrawn.status, withdrawn.body["status"]) == (200, "withdrawn")


def test_what_cannot_be_done_any_more_says_why_and_stays_open(program, user) -> None:
    asks, approver = program(make_admin()), program(make_admin())
    taken = {"quota": -1_000, "memo": "m"}
    path = f"/approvals/{asks.post(f'/users/{user.pk}/adjustments', taken).body['id']}"
    asks.post(f"/users/{user.pk}/adjustments", {"quota": -1, "memo": "m"})

    refused = approver.post(f"{path}/approve", None)

    assert (refused.status, refused.code) == (409, "quota_held")
    assert approver.get(path).body["status"] == "open"


def test_lists_are_narrowed_to_what_is_open_or_closed_and_hide_what_is_about_operators(
    program, user, root
) -> None:
    asks = program(root)
    mine, users = (asks.post(path_of(person), ABOVE).body["id"] for person in (root, user))
    asks.post(f"/approvals/{users}/withdraw", None)
    admin = program(make_admin())

    def listed(who, query="") -> list[int]:
        return [item["id"] for item in who.get(f"/approvals{query}").body["items"]]

    assert listed(asks) == [users, mine]
    assert (listed(asks, "?status=open"), listed(asks, "?status=closed")) == ([mine], [users])
    assert listed(admin) == [users]
    assert admin.get(f"/approvals/{mine}").status == 404


def test_a_list_costs_as_many_queries_however_long(program, user, django_assert_max_num_queries) -> None:
    asks = program(make_admin())
    for _ in range(5):
        asks.post(path_of(user), ABOVE)

    with django_assert_max_num_queries(5):
        answer = asks.get("/approvals")

    assert len(answer.body["items"]) == 5


def test_only_root_sets_the_amount(program, root) -> None:
    asks, admin = program(root), program(make_admin())

    refused = admin.ask("PUT", "/approval-settings", {"threshold": None})
    seen = admin.get("/approval-settings")
    done = asks.ask("PUT", "/approval-settings", {"threshold": None})

    assert (refused.status, refused.code) == (403, "permission_denied")
    assert (seen.status, seen.body) == (200, {"threshold": 100})
    assert (done.status, done.body) == (200, {"threshold": None})


@pytest.mark.parametrize("threshold", [0, -1, 2**53, "5", 1.5, True])
def test_an_impossible_amount_is_refused(program, root, threshold) -> None:
    answer = program(root).ask("PUT", "/approval-settings", {"threshold": threshold})

    assert (answer.status, answer.code) == (422, "invalid_request")


def test_a_scope_is_needed_to_decide_and_another_to_set_the_amount(program, user, root) -> None:
    asks = program(make_admin())
    path = f"/approvals/{asks.post(path_of(user), ABOVE).body['id']}"

    for decision in ("approve", "reject", "withdraw"):
        refused = program(root, "read", "users").post(f"{path}/{decision}", {})
        assert (refused.status, refused.code) == (403, "missing_scope")
    assert program(root, "topup").ask("PUT", "/approval-settings", {"threshold": 5}).code == "missing_scope"


def test_the_first_quota_of_a_new_user_is_no_way_round(program) -> None:
    asks = program(make_admin())
    person = {"username": "ann", "password": "a long pass phrase"}

    refused = asks.post("/users", {**person, "quota": 101})
    done = asks.post("/users", {**person, "quota": 100})

    assert (refused.status, refused.code) == (409, "approval_required")
    assert done.status == 201
