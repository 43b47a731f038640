"""Two operators for large movements: what is kept, who decides, and that it is done as it was asked for."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import AuditEvent, Role, User, UserStatus
from accounts.services.permissions import PermissionDeniedError
from billing.models import (
    ApprovedEntry,
    BulkTopUp,
    Decision,
    EntryKind,
    LedgerEntry,
    Proposal,
    ProposalStatus,
    UsageRecord,
    WebhookDelivery,
)
from billing.services import accounts, acts, approvals, bulk, reversals
from billing.services.approval_settings import (
    InvalidThresholdError,
    RootOnlyError,
    approval_threshold,
    set_approval_threshold,
)
from billing.services.calls import settle
from billing.services.ledger import IdempotencyKeyReusedError
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import (
    NOON,
    balance_of,
    make_admin,
    make_channel,
    make_root,
    make_token,
    make_user,
    make_webhook,
    settlement,
)

pytestmark = pytest.mark.django_db
THRESHOLD = 1_000
LATER = NOON + timedelta(days=1)


@pytest.fixture(autouse=True)
def root() -> User:
    user = make_root()
    set_approval_threshold(actor=user, threshold=THRESHOLD)
    return user


@pytest.fixture
def admin() -> User:
    return make_admin()


@pytest.fixture
def other() -> User:
    return make_admin()


@pytest.fixture
def user() -> User:
    return make_user(balance=5_000)


def top_up_of(user: User, quota: int = THRESHOLD + 1, **more: Any) -> acts.TopUp:
    return acts.TopUp(user_id=user.pk, quota=quota, memo="m", **more)


def proposed(actor: User, act: acts.Act[Any]) -> Proposal:
    kept = approvals.submit(actor=actor, act=act, at=NOON)
    assert isinstance(kept, Proposal)
    return kept


def approve(actor: User, proposal: Proposal, **more: Any) -> Decision:
    return approvals.approve(actor=actor, proposal=proposal, **{"at": LATER, **more})


def disabled(user: User) -> User:
    user.status = UserStatus.DISABLED
    user.save(update_fields=["status"])
    return user


def status_of(proposal: Proposal) -> ProposalStatus:
    return Proposal.objects.get(pk=proposal.pk).status_at(LATER)


def a_top_up(user: User) -> acts.Act[Any]:
    return top_up_of(user)


def what_is_taken(user: User) -> acts.Act[Any]:
    return acts.Adjustment(user_id=user.pk, quota=-THRESHOLD - 1, memo="m")


def a_refund(user: User) -> acts.Act[Any]:
    call = settlement(make_token(user), make_channel(), quota=THRESHOLD + 1)
    settle(settlements=[call], at=NOON)
    return acts.Refund(call_id=UsageRecord.objects.get().pk, quota=None, memo="m")


def a_reversal(user: User) -> acts.Act[Any]:
    entry = LedgerEntry.objects.get(account=user.pk, kind=EntryKind.TOP_UP)
    return acts.Reversal(entry_id=entry.pk, allow_partial=False, memo="m")


def a_bulk_top_up(user: User) -> acts.Act[Any]:
    items = [bulk.TopUp(user_id=person.pk, quota=600) for person in (user, make_user())]
    return acts.TopUpMany(items=items, memo="m")


def an_undo(user: User) -> acts.Act[Any]:
    items = [bulk.TopUp(user_id=person.pk, quota=600) for person in (user, make_user())]
    bulk.top_up_many(actor=make_admin(), items=items, at=NOON)
    return acts.BulkUndo(bulk_top_up_id=BulkTopUp.objects.get().pk, allow_partial=False, memo="m")


@pytest.mark.parametrize(
    ("make", "amount", "count"),
    [
        (a_top_up, 1_001, 1),
        (what_is_taken, -1_001, 1),
        (a_refund, 1_001, 1),
        (a_reversal, -5_000, 1),
        (a_bulk_top_up, 1_200, 2),
        (an_undo, -1_200, 2),
    ],
)
def test_what_is_above_the_amount_is_done_when_another_operator_approves_and_not_before(
    admin: User,
    other: User,
    user: User,
    make: Callable[[User], acts.Act[Any]],
    amount: int,
    count: int,
) -> None:
    act = make(user)
    entries_before, balance = LedgerEntry.objects.count(), balance_of(user)

    proposal = proposed(admin, act)
    waiting = (LedgerEntry.objects.count(), balance_of(user), BulkTopUp.objects.filter(actor=admin).count())
    decision = approve(other, proposal)

    assert (proposal.amount, proposal.entry_count, proposal.memo) == (amount, count, "m")
    assert waiting == (entries_before, balance, 0)
    entries = [approved.entry for approved in ApprovedEntry.objects.filter(proposal=proposal)]
    assert sum(entry.amount for entry in entries) == amount
    assert {(entry.actor, entry.memo, entry.created_at) for entry in entries} == {(admin, "m", LATER)}
    assert LedgerEntry.objects.count() == entries_before + count
    assert (decision.verdict, decision.actor, decision.created_at) == ("approved", other, LATER)


@pytest.mark.parametrize("quota", [1, THRESHOLD])
def test_what_is_not_above_the_amount_is_done_at_once(admin: User, user: User, quota: int) -> None:
    done = approvals.submit(actor=admin, act=top_up_of(user, quota), at=NOON)

    assert isinstance(done, LedgerEntry)
    assert balance_of(user) == 5_000 + quota
    assert not Proposal.objects.exists()


def test_without_an_amount_nothing_waits(root: User, admin: User, user: User) -> None:
    set_approval_threshold(actor=root, threshold=None)

    done = approvals.submit(actor=admin, act=top_up_of(user, 10**9), at=NOON)

    assert isinstance(done, LedgerEntry)
    assert approval_threshold() is None


def test_several_parts_of_a_bulk_top_up_count_as_one_and_refused_ones_not_at_all(
    admin: User, user: User
) -> None:
    below = [bulk.TopUp(user_id=user.pk, quota=900), bulk.TopUp(user_id=admin.pk, quota=900)]

    done = approvals.submit(actor=admin, act=acts.TopUpMany(items=below, memo=""), at=NOON)

    assert isinstance(done, list)  # one's own account is refused
    assert balance_of(user) == 5_900


def test_what_would_be_refused_is_refused_at_once(admin: User, user: User) -> None:
    act = acts.Adjustment(user_id=user.pk, quota=-5_001, memo="m")

    with pytest.raises(accounts.QuotaHeldError):
        approvals.submit(actor=admin, act=act, at=NOON)

    assert not Proposal.objects.exists()


def test_nobody_is_told_of_a_movement_before_it_is_approved(admin: User, other: User, user: User) -> None:
    make_webhook(events=["topup.created"])

    proposal = proposed(admin, top_up_of(user))
    before = WebhookDelivery.objects.count()
    approve(other, proposal)

    assert before == 0
    assert WebhookDelivery.objects.get().event == "topup.created"


def test_asked_for_again_with_its_key_it_is_the_same_proposal_also_when_it_is_done(
    admin: User, other: User, user: User
) -> None:
    act = top_up_of(user, idempotency_key="console:1")

    first, again = proposed(admin, act), proposed(admin, act)
    approve(other, first)
    afterwards = proposed(admin, act)

    assert first == again == afterwards
    assert balance_of(user) == 6_001
    assert LedgerEntry.objects.latest("pk").idempotency_key == "console:1"


def test_a_key_stands_for_one_proposal_of_one_operator(admin: User, other: User, user: User) -> None:
    proposed(admin, top_up_of(user, idempotency_key="k"))

    for actor, quota in ((admin, 2_000), (other, THRESHOLD + 1)):
        with pytest.raises(IdempotencyKeyReusedError):
            approvals.submit(actor=actor, act=top_up_of(user, quota, idempotency_key="k"), at=NOON)


def test_what_was_done_before_there_was_an_amount_is_not_proposed_when_it_is_sent_again(
    root: User, admin: User, user: User
) -> None:
    set_approval_threshold(actor=root, threshold=None)
    act = top_up_of(user, idempotency_key="k")
    done = approvals.submit(actor=admin, act=act, at=NOON)
    set_approval_threshold(actor=root, threshold=THRESHOLD)

    again = approvals.submit(actor=admin, act=act, at=NOON)

    assert again == done
    assert not Proposal.objects.exists()


def test_nobody_decides_about_what_they_have_proposed(root: User, user: User) -> None:
    proposal = proposed(root, top_up_of(user))

    for decide in (approvals.approve, approvals.reject):
        with pytest.raises(approvals.OwnProposalError):
            decide(actor=root, proposal=proposal, at=LATER)

    assert status_of(proposal) == "open"


@pytest.mark.parametrize(
    "make",
    [
        make_user,
        lambda: disabled(make_admin()),
        lambda: disabled(make_root()),
    ],
)
def test_only_operators_who_may_sign_in_decide(admin: User, user: User, make: Callable[[], User]) -> None:
    proposal, somebody = proposed(admin, top_up_of(user)), make()

    for decide in (approvals.approve, approvals.reject):
        with pytest.raises(PermissionDeniedError):
            decide(actor=somebody, proposal=proposal, at=LATER)

    assert (status_of(proposal), balance_of(user)) == ("open", 5_000)


@pytest.mark.parametrize("make", [make_admin, make_root])
def test_what_is_about_an_operator_is_for_roots_eyes_only(
    root: User, other: User, make: Callable[..., User]
) -> None:
    person = make()
    single = proposed(root, top_up_of(person))
    items = [bulk.TopUp(user_id=some.pk, quota=600) for some in (person, make_user())]
    many = proposed(root, acts.TopUpMany(items=items, memo="m"))

    for proposal in (single, many):
        with pytest.raises(PermissionDeniedError):
            approve(other, proposal)
    assert list(Proposal.objects.visible_to(other)) == []
    assert (
        list(Proposal.objects.visible_to(person if person.is_root else make_root())) == [many, single][::-1]
    )


def test_who_became_an_operator_since_is_out_of_reach_as_well(
    root: User, admin: User, other: User, user: User
) -> None:
    single = proposed(admin, top_up_of(user))
    many = proposed(root, acts.TopUpMany(items=[bulk.TopUp(user_id=user.pk, quota=2_000)], memo=""))
    User.objects.filter(pk=user.pk).update(role=Role.ADMIN)

    for proposal in (single, many):
        with pytest.raises(PermissionDeniedError):
            approve(other, proposal)

    assert not Proposal.objects.visible_to(other).filter(user=user).exists()
    assert balance_of(user) == 5_000


def test_a_proposal_is_decided_once(admin: User, other: User, user: User) -> None:
    proposal = proposed(admin, top_up_of(user))
    approve(other, proposal)

    with pytest.raises(approvals.ProposalDecidedError) as again:
        approve(make_admin(), proposal)
    with pytest.raises(approvals.ProposalDecidedError):
        approvals.reject(actor=other, proposal=proposal, at=LATER)
    with pytest.raises(approvals.ProposalDecidedError):
        approvals.withdraw(actor=admin, proposal=proposal, at=LATER)

    assert str(again.value) == "This was decided already: Approved."
    assert balance_of(user) == 6_001


def test_what_is_rejected_or_withdrawn_is_never_done(admin: User, other: User, user: User) -> None:
    rejected, withdrawn = proposed(admin, top_up_of(user)), proposed(admin, top_up_of(user))

    approvals.reject(actor=other, proposal=rejected, note="too much", at=LATER)
    approvals.withdraw(actor=admin, proposal=withdrawn, at=LATER)
    for proposal in (rejected, withdrawn):
        with pytest.raises(approvals.ProposalDecidedError):
            approve(other, proposal)

    assert (status_of(rejected), status_of(withdrawn)) == ("rejected", "withdrawn")
    assert rejected.decision.note == "too much"
    assert balance_of(user) == 5_000


def test_only_who_proposed_it_withdraws_it(root: User, admin: User, user: User) -> None:
    proposal = proposed(admin, top_up_of(user))

    with pytest.raises(approvals.NotProposerError):
        approvals.withdraw(actor=root, proposal=proposal, at=LATER)

    assert status_of(proposal) == "open"


def test_after_seven_days_it_is_too_late(admin: User, other: User, user: User) -> None:
    proposal, week = proposed(admin, top_up_of(user)), NOON + timedelta(days=7)
    moment = timedelta(microseconds=1)

    for decide, actor in (
        (approvals.approve, other),
        (approvals.reject, other),
        (approvals.withdraw, admin),
    ):
        with pytest.raises(approvals.ProposalExpiredError):
            decide(actor=actor, proposal=proposal, at=week)

    objects = Proposal.objects
    assert [list(objects.open(at)) for at in (week - moment, week)] == [[proposal], []]
    assert [list(objects.closed(at)) for at in (week - moment, week)] == [[], [proposal]]
    assert (proposal.status_at(week - moment), proposal.status_at(week)) == ("open", "expired")
    assert approve(other, proposal, at=week - moment).verdict == "approved"


def deleted(user: User, _entry: LedgerEntry) -> None:
    User.objects.filter(pk=user.pk).update(status=UserStatus.DELETED)


def spent(user: User, _entry: LedgerEntry) -> None:
    settle(settlements=[settlement(make_token(user), make_channel(), quota=1)], at=NOON)


def reversed_before(user: User, entry: LedgerEntry) -> None:
    reversals.reverse(actor=make_root(), entry=entry, memo="m", at=NOON)


@pytest.mark.parametrize(
    ("happen", "code"),
    [(deleted, "user_deleted"), (spent, "quota_spent"), (reversed_before, "already_reversed")],
)
def test_what_is_not_possible_any_more_is_refused_with_the_reason_and_waits_on(
    admin: User, other: User, user: User, happen: Callable[[User, LedgerEntry], None], code: str
) -> None:
    proposal = proposed(admin, a_reversal(user))
    happen(user, LedgerEntry.objects.get(account=user.pk))
    balance = balance_of(user)

    with pytest.raises(reversals.DomainError) as refused:
        approve(other, proposal)

    assert refused.value.code == code
    assert (status_of(proposal), balance_of(user)) == ("open", balance)


@pytest.mark.parametrize("make", [a_top_up, what_is_taken, a_bulk_top_up])
def test_nothing_is_given_to_who_was_deleted(
    admin: User, other: User, user: User, make: Callable[[User], acts.Act[Any]]
) -> None:
    act = make(user)
    proposal = proposed(admin, act)
    User.objects.filter(role=Role.USER).update(status=UserStatus.DELETED)

    with pytest.raises(reversals.DomainError) as refused:
        approve(other, proposal)

    assert refused.value.code in {"user_deleted", "user_not_found"}
    assert status_of(proposal) == "open"


@pytest.mark.parametrize("change", [{"status": UserStatus.DISABLED}, {"role": Role.USER}])
def test_nothing_is_done_in_the_name_of_who_is_no_operator_any_more(
    admin: User, other: User, user: User, change: dict[str, str]
) -> None:
    proposal = proposed(admin, top_up_of(user))
    User.objects.filter(pk=admin.pk).update(**change)

    with pytest.raises(approvals.ProposerGoneError):
        approve(other, proposal)
    approvals.reject(actor=other, proposal=proposal, at=LATER)

    assert balance_of(user) == 5_000


def test_no_more_is_moved_than_was_proposed_and_less_where_that_was_asked_for(
    admin: User, other: User, user: User
) -> None:
    entry = LedgerEntry.objects.get(account=user.pk)
    settle(settlements=[settlement(make_token(user), make_channel(), quota=3_000)], at=NOON)
    act = acts.Reversal(entry_id=entry.pk, allow_partial=True, memo="m")
    proposal = proposed(admin, act)
    accounts.top_up(actor=other, user=user, quota=500, at=NOON)

    with pytest.raises(approvals.MoreThanProposedError):
        approve(other, proposal)
    accounts.adjust(actor=other, user=user, quota=-600, memo="m", at=NOON)
    approve(other, proposal)

    assert proposal.amount == -2_000
    assert LedgerEntry.objects.latest("pk").amount == -1_900


def test_an_undo_that_has_nothing_left_to_take_is_refused(admin: User, other: User, user: User) -> None:
    first, second = (proposed(admin, act) for act in [an_undo(user)] * 2)
    approve(other, first)

    with pytest.raises(reversals.AlreadyReversedError):
        approve(other, second)


def test_only_root_sets_the_amount_and_the_audit_log_says_so(root: User, admin: User) -> None:
    with pytest.raises(RootOnlyError):
        set_approval_threshold(actor=admin, threshold=None)
    set_approval_threshold(actor=root, threshold=THRESHOLD)  # no change, no event
    set_approval_threshold(actor=root, threshold=2_000)

    events = AuditEvent.objects.filter(action="site.updated").order_by("pk")
    assert [(event.actor, event.changes) for event in events] == [
        (root, {"approval_threshold": {"old": None, "new": 1_000}}),
        (root, {"approval_threshold": {"old": 1_000, "new": 2_000}}),
    ]


@pytest.mark.parametrize("threshold", [0, -1, MAX_QUOTA + 1])
def test_an_impossible_amount_is_refused(root: User, threshold: int) -> None:
    with pytest.raises(InvalidThresholdError):
        set_approval_threshold(actor=root, threshold=threshold)


def test_the_first_quota_of_a_new_person_is_no_way_round(admin: User) -> None:
    with pytest.raises(accounts.ApprovalRequiredError):
        accounts.create_user(actor=admin, username="ann", password="x", quota=THRESHOLD + 1, at=NOON)
    accounts.create_user(actor=admin, username="bo", password="x", quota=THRESHOLD, at=NOON)

    assert not User.objects.filter(username="ann").exists()


def test_it_is_told_whether_anybody_could_approve(root: User, user: User) -> None:
    about_user, about_root = proposed(root, top_up_of(user)), proposed(root, top_up_of(root))

    def told() -> list[bool]:
        found = Proposal.objects.with_approvers().in_bulk([about_user.pk, about_root.pk])
        return [found[proposal.pk].has_approver for proposal in (about_user, about_root)]

    alone = told()
    make_admin()
    with_an_admin = told()
    disabled(make_root())
    with_a_disabled_root = told()
    make_root()

    assert (alone, with_an_admin, with_a_disabled_root) == ([False, False], [True, False], [True, False])
    assert told() == [True, True]


@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
@pytest.mark.parametrize(
    ("table", "column"),
    [("proposal", "amount"), ("decision", "actor_id"), ("approvedentry", "proposal_id")],
)
def test_the_database_itself_keeps_what_was_proposed_and_decided(
    admin: User, other: User, user: User, statement: str, table: str, column: str
) -> None:
    approve(other, proposed(admin, top_up_of(user)))

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(statement.format(f"billing_{table}", column, column))
