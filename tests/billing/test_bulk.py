"""Many top-ups at once."""

import pytest

from billing.services.bulk import TopUp, top_up_many
from oneapi_admin.lib.quota import MAX_QUOTA
from tests.factories import NOON, balance_of, make_admin, make_user

pytestmark = pytest.mark.django_db


def test_a_top_up_that_is_sent_again_is_not_too_large_because_of_itself() -> None:
    admin, user = make_admin(), make_user()
    items = [TopUp(user_id=user.pk, quota=MAX_QUOTA, idempotency_key="order-7")]
    [first] = top_up_many(actor=admin, items=items, at=NOON)

    [again] = top_up_many(actor=admin, items=items, at=NOON)

    assert again == first
    assert balance_of(user) == MAX_QUOTA
