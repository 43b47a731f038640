"""A worker that dies while it makes codes leaves none, and another one makes them; once."""

import os
import signal
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection

from accounts.services.access_tokens import create_access_token
from billing.services.audit import audit_ledger
from redemption.models import CodeBatch, RedemptionCode, SealedCodes
from redemption.services import making
from redemption.services.redeeming import redeem
from tests.api.conftest import Program
from tests.factories import balance_of, codes_in_clear, make_admin, make_user
from tests.support.waiting import wait_until
from tests.support.workers import worker

pytestmark = pytest.mark.django_db(transaction=True)
COUNT = 700_000
ORDER = {"name": "spring", "quota": 500, "count": COUNT}


def sessions_of_the_dead_are_over() -> bool:
    """PostgreSQL notices that a client is gone when it next writes to it or reads from it."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'COPY%%' AND state <> 'idle'")
        return cursor.fetchone() == (0,)


def test_making_that_was_killed_half_way_leaves_no_code_and_is_done_once(tmp_path: Path) -> None:
    admin = make_admin()
    shop = Program(create_access_token(user=admin, actor=admin, name="shop", scopes=["codes"])[1])
    ordered = shop.post("/code-batches", ORDER, Idempotency_Key="order-1")
    batch = CodeBatch.objects.get()

    with worker(tmp_path / "first.log") as process:
        wait_until(lambda: (making.made_count(batch) or 0) >= COUNT // 2, seconds=60)
        os.killpg(process.pid, signal.SIGKILL)
    wait_until(sessions_of_the_dead_are_over)

    assert (RedemptionCode.objects.count(), SealedCodes.objects.count()) == (0, 0)
    batch.refresh_from_db()
    assert (batch.status, batch.ready_at) == ("creating", None)
    assert not [check.code for check in audit_ledger() if check.broken]

    again = shop.post("/code-batches", ORDER, Idempotency_Key="order-1")
    cache.delete(making._progress_key(batch.pk))  # as it is a minute after the last word of the dead
    assert making.resume_making() == 1
    with worker(tmp_path / "second.log"):
        wait_until(lambda: CodeBatch.objects.get().status == "ready", seconds=60)

    assert (ordered.status, again.status, again.body) == (201, 201, ordered.body)
    batch.refresh_from_db()
    codes = codes_in_clear(batch)
    assert RedemptionCode.objects.count() == len(set(codes)) == COUNT
    assert shop.get(f"/code-batches/{batch.pk}").body["state"] == "active"
    user = make_user()
    redeem(code=codes[-1], user=user, at=batch.ready_at)
    assert balance_of(user) == 500
    assert not [check.code for check in audit_ledger() if check.broken]
