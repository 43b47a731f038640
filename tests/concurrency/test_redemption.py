"""One code pays once, whoever races for it; and a control shows that the race is real."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from billing.models import EntryKind, LedgerEntry
from billing.services import ledger
from redemption import services
from redemption.models import CodeStatus, RedemptionCode
from tests.factories import NOON, balance_of, make_admin, make_user

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 64


def race(redeem: Callable[[User], bool], users: list[User]) -> int:
    """Let everybody redeem at the same moment; how many believe that they did."""
    start = Barrier(len(users))

    def one(user: User) -> bool:
        try:
            connection.ensure_connection()
            start.wait()
            return redeem(user)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(users)) as pool:
        return sum(pool.map(one, users))


def test_64_simultaneous_redemptions_of_one_code_give_one_credit() -> None:
    _batch, [code] = services.create_batch(actor=make_admin(), name="b", quota=500, count=1, at=NOON)
    users = [make_user() for _ in range(RACERS)]

    def redeem(user: User) -> bool:
        try:
            services.redeem(code=code, user=user, at=NOON)
        except services.CodeNotRedeemableError:
            return False
        return True

    credited = race(redeem, users)

    assert credited == 1
    assert sum(balance_of(user) for user in users) == 500
    assert LedgerEntry.objects.filter(kind=EntryKind.REDEMPTION).count() == 1


def test_control_without_its_two_guards_the_same_service_pays_every_racer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guards are the claim's condition on the status and the ledger entry's unique key.

    Here everybody looks at the code before anybody claims it, as happens by itself on a busy server.
    """
    _batch, [code] = services.create_batch(actor=make_admin(), name="b", quota=500, count=1, at=NOON)
    users = [make_user() for _ in range(8)]
    everybody_looked = Barrier(len(users))
    posting = ledger.Posting

    def claim_unguarded(codes: Any, *, digest: str, user: User, at: datetime) -> RedemptionCode:
        codes.filter(digest=digest).update(status=CodeStatus.USED, redeemed_by=user, redeemed_at=at)
        return codes.get(digest=digest)

    def redeem(user: User) -> bool:
        is_unused = RedemptionCode.objects.filter(status=CodeStatus.ENABLED).exists()
        everybody_looked.wait()
        return is_unused and bool(services.redeem(code=code, user=user, at=NOON))

    monkeypatch.setattr(type(RedemptionCode.objects.all()), "claim", claim_unguarded)
    monkeypatch.setattr(type(RedemptionCode.objects), "claim", claim_unguarded)
    monkeypatch.setattr(services.ledger, "Posting", lambda **f: posting(**{**f, "idempotency_key": None}))
    credited = race(redeem, users)

    assert credited == 8
    assert sum(balance_of(user) for user in users) == 8 * 500
