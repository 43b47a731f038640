"""Each invariant is proved on healthy data and shown to notice its own kind of damage."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing.models import AuditRun
from billing.services import calls
from billing.services.audit import audit_ledger
from billing.services.calls import settle
from billing.triggers import drop_triggers
from redemption.services.redeeming import redeem
from redemption.triggers import unprotect_redemptions
from tests.factories import (
    NOON,
    admit_request,
    make_channel,
    make_code,
    make_codes,
    make_token,
    make_user,
    settlement,
)

pytestmark = pytest.mark.django_db(transaction=True)
CODE = "redemption_redemptioncode"


@pytest.fixture
def busy_ledger() -> None:
    user = make_user(balance=10_000)
    made = make_token(user)
    channel = make_channel()
    done = admit_request(made, estimate=300)
    calls.admit(requests=[done, admit_request(made, estimate=70)], at=NOON)
    settle(
        settlements=[
            settlement(made, channel, quota=120, request_id=done.request_id),
            settlement(made, channel, quota=5, cached_tokens=3),
            settlement(made, channel, quota=0, status="failed"),
        ],
        at=NOON,
    )
    redeem(code=make_codes(quota=77, count=2)[0], user=user, at=NOON)
    gift = make_code(quota=5, uses_per_code=3)
    redeem(code=gift, user=user, at=NOON)
    redeem(code=gift, user=make_user(), at=NOON)


def test_a_ledger_written_by_the_services_adds_up(busy_ledger) -> None:
    checks = audit_ledger()

    assert [check.code for check in checks] == ["I1", "I2", "I3", "I4", "I5", "I6", "I7"]
    assert [check.broken for check in checks] == [0] * 7
    assert all(check.checked for check in checks)


@pytest.mark.parametrize(
    ("damage", "noticed_by"),
    [
        ("UPDATE billing_quotaaccount SET balance = balance + 1", "I1"),
        ("UPDATE billing_ledgerentry SET balance_after = balance_after + 1 WHERE kind = 'usage'", "I2"),
        ("UPDATE billing_quotaaccount SET held = held + 1", "I3"),
        ("UPDATE billing_tokenquota SET held = held + 1", "I3"),
        ("DELETE FROM billing_hold", "I3"),
        ("UPDATE billing_hold SET account_id = 0", "I3"),
        ("UPDATE billing_usagerecord SET quota = quota + 1 WHERE quota > 0", "I4"),
        ("UPDATE billing_usagerecord SET ledger_entry_id = (SELECT MIN(id) FROM billing_ledgerentry)", "I4"),
        ("UPDATE billing_usagerecord SET ledger_entry_id = 0 WHERE quota = 0", "I4"),
        ("UPDATE billing_ledgerentry SET reference = 'code:0' WHERE kind = 'redemption'", "I5"),
        ("UPDATE billing_ledgerentry SET kind = 'grant' WHERE kind = 'redemption'", "I5"),
        (f"UPDATE {CODE} SET status = 'enabled' WHERE status = 'used'", "I5"),
        (f"UPDATE {CODE} SET used_count = used_count + 1 WHERE used_count > 0", "I5"),
        (
            f"UPDATE {CODE} SET used_count = 0, redeemed_by_id = NULL, redeemed_at = NULL WHERE used_count = 2",
            "I5",
        ),
        (f"DELETE FROM {CODE} WHERE used_count = 0", "I5"),
        (f"UPDATE {CODE} SET status = 'disabled' WHERE used_count = 0", "I5"),
        ("DELETE FROM redemption_redemption WHERE number = 2", "I5"),
        ("UPDATE redemption_redemption SET user_id = 0", "I5"),
        ("UPDATE redemption_redemption SET batch_id = 0", "I5"),
        ("UPDATE redemption_redemption SET entry_id = 0 WHERE number = 2", "I5"),
        ("UPDATE redemption_codebatch SET quota = quota + 1", "I5"),
        ("UPDATE redemption_codebatch SET uses_per_code = 2 WHERE uses_per_code = 3", "I5"),
        ("UPDATE redemption_batchday SET redeemed_count = redeemed_count + 1", "I5"),
        ("UPDATE redemption_batchday SET used_count = used_count + 1", "I5"),
        ("UPDATE redemption_codebatch SET disabled_uses = 1", "I5"),
        (f"UPDATE {CODE} SET batch_id = 0 WHERE used_count = 0", "I5"),
        ("UPDATE billing_usagedaily SET prompt_tokens = prompt_tokens + 1", "I6"),
        ("DELETE FROM billing_usagehourly", "I6"),
        ("UPDATE billing_usagehourly SET duration_ms = duration_ms + 1", "I6"),
        ("UPDATE billing_tokenquota SET used_quota = used_quota + 1", "I7"),
        ("UPDATE billing_channeltotals SET upstream_cost = upstream_cost + 1", "I7"),
        ("UPDATE billing_quotaaccount SET request_count = request_count + 1", "I7"),
        ("UPDATE billing_usagerecord SET account_id = 0", "I7"),
    ],
)
def test_damage_is_noticed_by_its_invariant(busy_ledger, damage: str, noticed_by: str) -> None:
    drop_triggers(connection)
    unprotect_redemptions(connection)
    with connection.cursor() as cursor:
        cursor.execute(damage)

    broken = {check.code for check in audit_ledger() if check.broken}

    assert noticed_by in broken


def test_the_command_exits_with_an_error_and_keeps_the_result(busy_ledger, capsys) -> None:
    call_command("audit_ledger")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE billing_quotaaccount SET balance = balance + 1")

    with pytest.raises(CommandError, match="I1"):
        call_command("audit_ledger")

    assert "The ledger adds up." in capsys.readouterr().out
    assert list(AuditRun.objects.order_by("pk").values_list("is_clean", flat=True)) == [True, False]


@pytest.mark.parametrize(
    "statement", ["UPDATE billing_ledgerentry SET memo = 'x'", "DELETE FROM billing_ledgerentry"]
)
def test_the_database_refuses_to_change_the_ledger(busy_ledger, statement: str) -> None:
    from django.db import DatabaseError

    with connection.cursor() as cursor, pytest.raises(DatabaseError, match="append-only"):
        cursor.execute(statement)
