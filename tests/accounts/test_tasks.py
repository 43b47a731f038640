from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import tasks
from accounts.models import IdempotencyRecord, User
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)


def _answered(user: User, age: timedelta, count: int = 1) -> None:
    IdempotencyRecord.objects.bulk_create(
        IdempotencyRecord(
            user=user,
            key=f"{age} {number}",
            fingerprint="f" * 64,
            status=201,
            encrypted_body="x",
            created_at=timezone.now() - age,
        )
        for number in range(count)
    )


def test_answers_are_kept_for_a_day_and_forgotten_in_the_end() -> None:
    user = make_user()
    for hours in (0, 24, 47, 49, 500):
        _answered(user, timedelta(hours=hours))

    tasks.forget_idempotency_keys()

    kept = IdempotencyRecord.objects.values_list("key", flat=True)
    assert sorted(kept) == sorted(["0:00:00 0", "1 day, 0:00:00 0", "1 day, 23:00:00 0"])


def test_any_number_of_old_answers_is_forgotten_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_PORTION", 3)
    user = make_user()
    _answered(user, timedelta(days=3), count=7)
    _answered(user, timedelta(0), count=2)

    tasks.forget_idempotency_keys()

    assert IdempotencyRecord.objects.count() == 2
