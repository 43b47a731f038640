"""Approvals race: whoever clicks at the same moment, what was proposed is done once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import IntegrityError, connection

from accounts.models import User
from billing.models import Decision, LedgerEntry, Proposal
from billing.services import acts, approvals
from billing.services.approval_settings import set_approval_threshold
from billing.services.audit import audit_ledger
from oneapi_admin.lib.errors import DomainError
from tests.factories import NOON, balance_of, make_admin, make_root, make_user

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 6


@pytest.fixture
def user(transactional_db: None) -> User:
    set_approval_threshold(actor=make_root(), threshold=100)
    return make_user(balance=1_000)


def propose(user: User, *, key: str | None = None) -> Proposal:
    act = acts.TopUp(user_id=user.pk, quota=500, memo="m", idempotency_key=key)
    kept = approvals.submit(actor=make_admin(), act=act, at=NOON)
    assert isinstance(kept, Proposal)
    return kept


def race(acts_of_racers: list[Callable[[], Any]]) -> list[Any]:
    """What each of those who act at the same moment gets: a result or a refusal."""
    start = Barrier(len(acts_of_racers))

    def one(act: Callable[[], Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait()
            return act()
        except (DomainError, IntegrityError) as exc:
            return exc
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts_of_racers)) as pool:
        return list(pool.map(one, acts_of_racers))


def approving(proposal: Proposal) -> Callable[[], Any]:
    actor = make_admin()
    return lambda: approvals.approve(actor=actor, proposal=proposal, at=NOON)


def kinds(results: list[Any]) -> list[str]:
    return sorted(type(result).__name__ for result in results)


def test_simultaneous_approvals_make_one_entry(user: User) -> None:
    proposal = propose(user)

    results = race([approving(proposal) for _ in range(RACERS)])

    assert kinds(results) == ["Decision", *["ProposalDecidedError"] * (RACERS - 1)]
    assert LedgerEntry.objects.filter(account=user.pk).count() == 2
    assert balance_of(user) == 1_500
    assert [check.code for check in audit_ledger() if check.broken] == []


def test_control_without_the_lock_the_database_still_lets_one_through(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "_locked_open", lambda proposal, _at: proposal)
    proposal = propose(user)

    results = race([approving(proposal) for _ in range(RACERS)])

    assert kinds(results) == ["Decision", *["IntegrityError"] * (RACERS - 1)]
    assert balance_of(user) == 1_500


def test_control_without_lock_and_decision_everybody_gives_it_once_more(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approvals, "_locked_open", lambda proposal, _at: proposal)
    monkeypatch.setattr(approvals, "_decide", lambda *_args: None)
    proposal = propose(user)

    race([approving(proposal) for _ in range(RACERS)])

    assert balance_of(user) == 1_000 + RACERS * 500


def test_of_an_approval_a_rejection_and_a_withdrawal_at_once_one_counts(user: User) -> None:
    proposal, admin = propose(user), make_admin()
    proposer = proposal.proposer

    results = race(
        [
            approving(proposal),
            lambda: approvals.reject(actor=admin, proposal=proposal, at=NOON),
            lambda: approvals.withdraw(actor=proposer, proposal=proposal, at=NOON),
        ]
    )

    assert kinds(results) == ["Decision", "ProposalDecidedError", "ProposalDecidedError"]
    assert balance_of(user) == (1_500 if Decision.objects.get().verdict == "approved" else 1_000)


def test_simultaneous_requests_under_one_key_are_one_proposal(user: User) -> None:
    admin = make_admin()
    act = acts.TopUp(user_id=user.pk, quota=500, memo="m", idempotency_key="k")

    results = race([lambda: approvals.submit(actor=admin, act=act, at=NOON)] * RACERS)

    assert results == [Proposal.objects.get()] * RACERS
    assert balance_of(user) == 1_000


def test_proposals_and_movements_at_once_do_not_wait_for_each_other_in_a_circle(user: User) -> None:
    proposals, admin = [propose(user) for _ in range(3)], make_admin()
    small = acts.TopUp(user_id=user.pk, quota=10, memo="m")
    large = acts.TopUp(user_id=user.pk, quota=500, memo="m")

    results = race(
        [
            *[approving(proposal) for proposal in proposals],
            *[lambda: approvals.submit(actor=admin, act=small, at=NOON)] * 3,
            *[lambda: approvals.submit(actor=admin, act=large, at=NOON)] * 3,
        ]
    )

    assert kinds(results) == ["Decision"] * 3 + ["LedgerEntry"] * 3 + ["Proposal"] * 3
    assert balance_of(user) == 1_000 + 3 * 500 + 3 * 10
    assert [check.code for check in audit_ledger() if check.broken] == []
