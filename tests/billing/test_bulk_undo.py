"""A bulk top-up is one run, and is undone as one."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import OperationalError

from accounts.models import Role, User, UserStatus
from billing.models import BulkTopUp, EntryKind, LedgerEntry
from billing.services import bulk_undo, reversals
from billing.services.audit import audit_ledger
from billing.services.bulk import TopUp, top_up_many
from billing.services.calls import settle
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import (
    NOON,
    balance_of,
    make_admin,
    make_channel,
    make_root,
    make_token,
    make_user,
    settlement,
)

pytestmark = pytest.mark.django_db


def run_of(*users: User, quota: int = 100, actor: User | None = None, **fields: Any) -> BulkTopUp:
    items = [TopUp(user_id=user.pk, quota=quota) for user in users]
    top_up_many(actor=actor or make_admin(), items=items, at=NOON, **fields)
    return BulkTopUp.objects.latest("pk")


def spend(user: User, quota: int) -> None:
    settle(settlements=[settlement(make_token(user), make_channel(), quota=quota)], at=NOON)


def undo(
    run: BulkTopUp, *, allow_partial: bool = False, actor: User | None = None
) -> list[tuple[int, int, str]]:
    done = bulk_undo.undo(
        actor=actor or make_admin(),
        run=run,
        memo="payday was yesterday",
        allow_partial=allow_partial,
        at=NOON,
    )
    return told(done)


def told(items: list[bulk_undo.Undone]) -> list[tuple[int, int, str]]:
    return [(item.amount, item.shortfall, item.refusal.code if item.refusal else "") for item in items]


def test_a_run_counts_what_was_given_and_its_entries_name_it() -> None:
    admin, users = make_admin(), [make_user(), make_user()]
    items = [*(TopUp(user_id=user.pk, quota=7) for user in users), TopUp(user_id=10**15, quota=7)]

    top_up_many(actor=admin, items=items, memo="payday", at=NOON)

    run = BulkTopUp.objects.get()
    assert (run.actor, run.count, run.total, run.memo) == (admin, 2, 14, "payday")
    assert set(LedgerEntry.objects.values_list("reference", "memo")) == {(run.reference, "payday")}


def test_a_list_of_which_nothing_can_be_done_makes_no_run() -> None:
    top_up_many(actor=make_admin(), items=[TopUp(user_id=10**15, quota=7)], at=NOON)

    assert not BulkTopUp.objects.exists()


def test_a_list_sent_again_is_the_same_run_with_what_could_not_be_done_before() -> None:
    admin, user, full = make_admin(), make_user(), make_user(balance=MAX_QUOTA)
    items = [TopUp(user_id=who.pk, quota=7, idempotency_key=f"k:{who.pk}") for who in (user, full)]
    top_up_many(actor=admin, items=items, at=NOON)
    spend(full, 7)

    top_up_many(actor=admin, items=items, at=NOON)

    run = BulkTopUp.objects.get()
    assert (run.count, run.total) == (2, 14)


def test_a_run_is_undone_as_a_whole_where_nothing_is_spent() -> None:
    users = [make_user(balance=5) for _ in range(3)]
    run, other = run_of(*users), run_of(make_user(), quota=7)

    assert (undo(run), undo(other)) == ([(100, 0, "")] * 3, [(7, 0, "")])

    seen = BulkTopUp.objects.with_reversals().order_by("pk")
    assert [(run.reversed_count, run.reversed_total) for run in seen] == [(3, 300), (1, 7)]
    assert [balance_of(user) for user in users] == [5, 5, 5]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("allow_partial", "middle", "balance"), [(False, (0, 30, "quota_spent"), 70), (True, (70, 30, ""), 0)]
)
def test_who_spent_a_part_is_told_apart_and_undone_on_purpose_only(
    allow_partial: bool, middle: tuple[int, int, str], balance: int
) -> None:
    users = [make_user() for _ in range(3)]
    run = run_of(*users)
    spend(users[1], 30)

    looked = told(bulk_undo.preview_undo(actor=make_admin(), run=run, allow_partial=allow_partial))
    done = undo(run, allow_partial=allow_partial)

    assert looked == done == [(100, 0, ""), middle, (100, 0, "")]
    assert [balance_of(user) for user in users] == [0, balance, 0]
    assert [check.code for check in audit_ledger() if check.broken] == []


def test_undoing_again_tries_what_is_left_and_takes_nothing_twice() -> None:
    users = [make_user(), make_user()]
    run = run_of(*users)
    spend(users[1], 30)
    undo(run)

    assert undo(run, allow_partial=True) == [(0, 0, "already_reversed"), (70, 30, "")]
    assert LedgerEntry.objects.filter(kind=EntryKind.REVERSAL).count() == 2


def test_an_undo_that_breaks_off_keeps_what_it_did_and_goes_on_when_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    users = [make_user() for _ in range(3)]
    run = run_of(*users)
    monkeypatch.setattr(bulk_undo, "_AT_ONCE", 1)
    reverse_all = reversals.reverse_all

    def break_off(*, entries: Sequence[LedgerEntry], **values: Any) -> Any:
        if entries[0].account_id == users[1].pk:
            raise OperationalError
        return reverse_all(entries=entries, **values)

    with monkeypatch.context() as patch:
        patch.setattr(reversals, "reverse_all", break_off)
        with pytest.raises(OperationalError):
            undo(run)
    kept = [balance_of(user) for user in users]

    assert kept == [0, 100, 100]
    assert undo(run) == [(0, 0, "already_reversed"), (100, 0, ""), (100, 0, "")]
    assert [balance_of(user) for user in users] == [0, 0, 0]


def test_somebody_listed_twice_is_taken_from_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user()
    run = run_of(user, user)
    spend(user, 50)

    looked = told(bulk_undo.preview_undo(actor=make_admin(), run=run, allow_partial=True))
    monkeypatch.setattr(bulk_undo, "_AT_ONCE", 1)

    assert looked == undo(run, allow_partial=True) == [(100, 0, ""), (50, 50, "")]
    assert balance_of(user) == 0


def test_what_is_not_taken_of_one_entry_is_there_for_the_next() -> None:
    user = make_user()
    items = [TopUp(user_id=user.pk, quota=quota) for quota in (100, 40)]
    top_up_many(actor=make_admin(), items=items, at=NOON)
    run = BulkTopUp.objects.get()
    spend(user, 50)

    looked = told(bulk_undo.preview_undo(actor=make_admin(), run=run, allow_partial=False))

    assert looked == undo(run) == [(0, 10, "quota_spent"), (40, 0, "")]
    assert balance_of(user) == 50


def test_who_was_deleted_or_promoted_meanwhile_is_left_alone() -> None:
    users = [make_user() for _ in range(3)]
    run = run_of(*users)
    User.objects.filter(pk=users[0].pk).update(status=UserStatus.DELETED)
    User.objects.filter(pk=users[1].pk).update(role=Role.ADMIN)

    assert undo(run) == [(0, 0, "user_deleted"), (0, 0, "permission_denied"), (100, 0, "")]


def test_roots_runs_are_roots() -> None:
    root, admin = make_root(), make_admin()
    roots, admins = run_of(make_user(), actor=root), run_of(make_user(), actor=admin)

    assert set(BulkTopUp.objects.visible_to(root)) == {roots, admins}
    assert set(BulkTopUp.objects.visible_to(admin)) == {admins}
    assert not BulkTopUp.objects.visible_to(make_user())
