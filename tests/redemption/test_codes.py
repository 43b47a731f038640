"""Disabling single codes."""

import pytest

from accounts.models import AuditEvent
from billing.services.audit import audit_ledger
from redemption import queries
from redemption.models import RedemptionCode
from redemption.services import redeeming
from redemption.services.codes import CodeUsedError, set_code_status
from redemption.services.redeeming import CodeNotRedeemableError
from tests.factories import NOON, balance_of, codes_in_clear, make_admin, make_batch, make_code, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def counts() -> tuple[int, int, int]:
    batch = queries.batches().get()
    assert not [check.code for check in audit_ledger() if check.broken]
    return batch.enabled_count, batch.disabled_count, batch.unused_uses


def test_a_disabled_code_is_refused_until_it_is_enabled_again() -> None:
    code, user = make_code(quota=5), make_user()
    stored = RedemptionCode.objects.get()

    set_code_status(actor=None, code=stored, is_enabled=False)
    with pytest.raises(CodeNotRedeemableError):
        redeeming.redeem(code=code, user=user, at=NOON)
    set_code_status(actor=None, code=stored, is_enabled=True)
    redeeming.redeem(code=code, user=user, at=NOON)

    assert balance_of(user) == 5


@pytest.mark.parametrize("is_enabled", [True, False])
def test_a_used_code_stays_used_also_for_whoever_saw_it_before(is_enabled: bool) -> None:
    code = make_code()
    seen_before = RedemptionCode.objects.get()
    redeeming.redeem(code=code, user=make_user(), at=NOON)

    with pytest.raises(CodeUsedError, match=r"…\w{4} is used up"):
        set_code_status(actor=None, code=seen_before, is_enabled=is_enabled)

    assert RedemptionCode.objects.get().status == "used"


def test_the_batch_knows_what_its_disabled_codes_could_still_give() -> None:
    batch = make_batch(count=3, uses_per_code=4)
    redeeming.redeem(code=codes_in_clear(batch)[0], user=make_user(), at=NOON)
    half_used = RedemptionCode.objects.get(used_count=1)

    assert counts() == (3, 0, 11)
    for _ in range(2):
        set_code_status(actor=None, code=half_used, is_enabled=False)
    assert counts() == (2, 1, 8)
    for _ in range(2):
        set_code_status(actor=None, code=half_used, is_enabled=True)
    assert counts() == (3, 0, 11)


def test_each_change_is_in_the_audit_log_and_what_changes_nothing_is_not() -> None:
    make_code()
    stored, admin = RedemptionCode.objects.get(), make_admin()

    for _ in range(2):
        set_code_status(actor=admin, code=stored, is_enabled=False)

    [event] = AuditEvent.objects.filter(action="code.status_changed")
    assert (event.actor_id, event.subject_id) == (admin.pk, stored.pk)
    assert event.changes == {"status": {"old": "enabled", "new": "disabled"}}
