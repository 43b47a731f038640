"""A form that orders codes makes one batch, however many send it at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import pytest
from django.db import connection

from accounts.models import AuditEvent, User
from redemption.models import CodeBatch, RedemptionCode
from redemption.services import batches, making
from tests.factories import NOON, make_admin

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 8
TERMS = batches.BatchTerms(name="spring", quota=500, count=20)


def test_a_form_that_is_sent_several_times_at_once_makes_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    actor, key, looked = make_admin(), uuid4(), Barrier(RACERS)
    look = batches._known
    first_looks = iter(range(RACERS))

    def look_together(*args: object) -> CodeBatch | None:
        """Nobody writes before everybody has seen that nothing is there."""
        found = look(*args)  # type: ignore[arg-type]
        if next(first_looks, None) is not None:
            looked.wait(30)
        return found

    monkeypatch.setattr(batches, "_known", look_together)

    def send(sender: User) -> int:
        try:
            batch = batches.create_batch(actor=sender, terms=TERMS, at=NOON, key=key)
            making.make_codes(batch=batch, at=NOON)
            return batch.pk
        finally:
            connection.close()

    with ThreadPoolExecutor(RACERS) as pool:
        told = set(pool.map(send, [actor] * RACERS))

    assert told == {CodeBatch.objects.get().pk}
    assert RedemptionCode.objects.count() == TERMS.count
    assert AuditEvent.objects.filter(action="code_batch.created").count() == 1
