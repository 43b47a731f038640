"""Ordering batches of codes, and ending them."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from accounts.models import AuditEvent, User
from billing.services.accounts import InvalidAmountError
from billing.services.approval_settings import set_approval_threshold
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA
from redemption import queries
from redemption.models import BatchState, BatchStatus, CodeBatch, RedemptionCode, SealedCodes
from redemption.services import batches, making, redeeming
from redemption.services.batches import (
    BatchNeedsRootError,
    BatchStateError,
    BatchTerms,
    BatchTooLargeError,
    InvalidUsesError,
    InvalidValidityError,
)
from tests.factories import (
    NOON,
    balance_of,
    codes_in_clear,
    make_admin,
    make_batch,
    make_root,
    make_user,
)

pytestmark = pytest.mark.django_db(transaction=True)
LATER = NOON + timedelta(days=1)


def order(actor: User | None = None, **terms) -> CodeBatch:
    asked = BatchTerms(**{"name": "spring", "quota": 500, "count": 3, **terms})
    return batches.create_batch(actor=actor or make_admin(), terms=asked, at=NOON)


def test_a_batch_is_ordered_with_all_its_terms_and_has_no_codes_yet() -> None:
    admin = make_admin()
    terms = BatchTerms(
        name="spring",
        quota=500,
        count=3,
        note="for the fair",
        tag="fair",
        valid_from=NOON,
        valid_until=LATER,
        uses_per_code=10,
        uses_per_user=2,
        is_once_per_user=True,
        group="vip",
    )

    batch = batches.create_batch(actor=admin, terms=terms, at=NOON)

    stored = CodeBatch.objects.get()
    assert all(getattr(stored, name) == getattr(terms, name) for name in BatchTerms.__slots__)
    assert (stored.status, stored.created_by_id, stored.created_at) == ("creating", admin.pk, NOON)
    assert not RedemptionCode.objects.exists()
    [event] = AuditEvent.objects.filter(action="code_batch.created")
    assert (event.subject_id, event.changes["count"]["new"], event.changes["group"]["new"]) == (
        batch.pk,
        3,
        "vip",
    )


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"count": 0}, BatchTooLargeError),
        ({"count": -1}, BatchTooLargeError),
        ({"count": 1_000_001}, BatchTooLargeError),
        ({"quota": 0}, InvalidAmountError),
        ({"quota": -5}, InvalidAmountError),
        ({"quota": MAX_QUOTA + 1}, InvalidAmountError),
        ({"uses_per_code": 0}, InvalidUsesError),
        ({"uses_per_code": 1_000_001}, InvalidUsesError),
        ({"uses_per_user": 0}, InvalidUsesError),
        ({"uses_per_user": 2}, InvalidUsesError),
        ({"valid_until": NOON}, InvalidValidityError),
        ({"valid_until": LATER, "valid_from": LATER}, InvalidValidityError),
        ({"name": ""}, ValidationError),
        ({"name": "n" * 65}, ValidationError),
        ({"tag": "t" * 33}, ValidationError),
        ({"note": "n" * 256}, ValidationError),
        ({"group": "Not a group"}, ValidationError),
    ],
)
def test_terms_that_make_no_sense_are_refused(wrong: dict, error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        order(**wrong)

    assert not CodeBatch.objects.exists()
    assert not isinstance(refused.value, DomainError) or refused.value.http_status == 422


def test_a_state_is_what_status_and_time_make_of_a_batch_also_for_lists() -> None:
    soon = make_batch(valid_from=LATER, valid_until=LATER + timedelta(days=1))
    always = make_batch()
    statuses = {status: make_batch() for status in ("disabled", "revoked", "cancelled", "failed", "creating")}
    for status, batch in statuses.items():
        CodeBatch.objects.filter(pk=batch.pk).update(status=status)
    expected = {
        NOON: {"scheduled": {soon}, "active": {always}, "expired": set()},
        LATER: {"scheduled": set(), "active": {always, soon}, "expired": set()},
        LATER + timedelta(days=1): {"scheduled": set(), "active": {always}, "expired": {soon}},
    }

    for at, by_time in expected.items():
        for state in BatchState:
            listed = set(queries.batches(state=state, at=at))
            assert listed == by_time.get(state, {statuses.get(state)}), (state, at)
            assert {batch.state(at) for batch in listed} <= {state}


def test_a_disabled_batch_can_be_enabled_again() -> None:
    batch, admin, user = make_batch(), make_admin(), make_user()
    code = codes_in_clear(batch)[0]

    batches.set_batch_status(actor=admin, batch=batch, is_enabled=False)
    with pytest.raises(redeeming.CodeNotRedeemableError):
        redeeming.redeem(code=code, user=user, at=NOON)
    batches.set_batch_status(actor=admin, batch=batch, is_enabled=True)
    redeeming.redeem(code=code, user=user, at=NOON)

    assert balance_of(user) == 500
    changes = [
        event.changes["status"]["new"]
        for event in AuditEvent.objects.order_by("pk")
        if "status_ch" in event.action
    ]
    assert changes == ["disabled", "ready"]


def test_a_revoked_batch_gives_nothing_more_and_takes_nothing_back() -> None:
    batch, admin, user = make_batch(), make_admin(), make_user()
    used, unused, _third = codes_in_clear(batch)
    redeeming.redeem(code=used, user=user, at=NOON)

    batches.revoke_batch(actor=admin, batch=batch)

    with pytest.raises(redeeming.CodeNotRedeemableError):
        redeeming.redeem(code=unused, user=user, at=NOON)
    assert balance_of(user) == 500
    assert RedemptionCode.objects.count() == 3
    assert not SealedCodes.objects.exists()
    for again in (
        lambda: batches.revoke_batch(actor=admin, batch=batch),
        lambda: batches.set_batch_status(actor=admin, batch=batch, is_enabled=True),
        lambda: batches.cancel_batch(actor=admin, batch=batch),
    ):
        with pytest.raises(BatchStateError, match="Revoked"):
            again()


def test_what_is_not_made_can_be_cancelled_and_nothing_else() -> None:
    batch, admin = order(), make_admin()

    for act in (
        lambda: batches.revoke_batch(actor=admin, batch=batch),
        lambda: batches.set_batch_status(actor=admin, batch=batch, is_enabled=False),
        lambda: batches.retry_batch(actor=admin, batch=batch),
    ):
        with pytest.raises(BatchStateError, match="Being made"):
            act()
    batches.cancel_batch(actor=admin, batch=batch)

    assert not making.make_codes(batch=batch, at=NOON)
    assert not RedemptionCode.objects.exists()
    assert CodeBatch.objects.get().status == "cancelled"


def test_what_is_made_cannot_be_cancelled() -> None:
    batch = make_batch()

    with pytest.raises(BatchStateError, match="Ready"):
        batches.cancel_batch(actor=make_admin(), batch=batch)

    assert RedemptionCode.objects.count() == 3


def test_making_that_failed_says_why_and_can_be_tried_again() -> None:
    batch, admin = order(), make_admin()

    batches.fail_batch(batch_id=batch.pk, reason="OperationalError")
    assert (CodeBatch.objects.get().status, CodeBatch.objects.get().failure) == ("failed", "OperationalError")
    assert not making.make_codes(batch=batch, at=NOON)
    batches.retry_batch(actor=admin, batch=batch)

    assert making.make_codes(batch=batch, at=NOON)
    assert (CodeBatch.objects.get().status, CodeBatch.objects.get().failure) == (BatchStatus.READY, "")


def test_a_batch_that_is_there_does_not_fail_afterwards() -> None:
    batch = make_batch()

    batches.fail_batch(batch_id=batch.pk, reason="late")

    assert CodeBatch.objects.get().status == "ready"


def test_above_the_amount_that_takes_two_operators_only_root_makes_codes() -> None:
    root, admin = make_root(), make_admin()
    set_approval_threshold(actor=root, threshold=1_500)

    with pytest.raises(BatchNeedsRootError, match=r"more than \$0.003"):
        order(admin, quota=500, count=3, uses_per_code=2)

    assert not CodeBatch.objects.exists()
    order(admin, quota=500, count=3)
    order(root, quota=500, count=300)
    batches.create_batch(actor=None, terms=BatchTerms(name="shell", quota=500, count=300), at=NOON)
    assert CodeBatch.objects.count() == 3
