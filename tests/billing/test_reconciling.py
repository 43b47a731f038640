"""What a provider took between two statements, against what was metered."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.models import BalanceSnapshot, Channel, Reconciliation
from billing.services.rates import set_rate
from billing.services.reconciling import drift_percent, reconcile
from tests.factories import NOON, make_channel, make_root, make_snapshot

pytestmark = pytest.mark.django_db
USD = 10**9
"""A dollar in billionths."""


def snapshot(channel: Channel, *, minutes: int = 0, **fields: Any) -> BalanceSnapshot:
    amounts = {name: Decimal(fields.pop(name)) for name in ("remaining", "used", "limit") if name in fields}
    usual = {"kind": "balance", "created_at": NOON + timedelta(minutes=minutes), "channel": channel}
    return make_snapshot(**{**usual, **amounts, **fields})


def interval(first: dict[str, Any], last: dict[str, Any], **channel: Any) -> Reconciliation | None:
    made = make_channel(**channel)
    return reconcile(
        channel=made,
        first=snapshot(made, **first),
        last=snapshot(made, minutes=10, **last),
        at=NOON + timedelta(minutes=10),
    )


def amounts(row: Reconciliation | None) -> tuple[Any, ...]:
    assert row is not None
    row.refresh_from_db()
    return row.taken, row.recharged, row.metered, row.drift, row.status


def test_what_both_sides_agree_on_has_no_drift() -> None:
    row = interval({"remaining": "10", "metered": 7 * USD}, {"remaining": "7.5", "metered": 9_500_000_000})

    assert amounts(row) == (Decimal("2.5"), 0, Decimal("2.5"), 0, "ok")
    assert row is not None
    assert (row.began_at, row.ended_at) == (NOON, NOON + timedelta(minutes=10))


def test_calls_past_us_are_drift_of_exactly_what_they_cost() -> None:
    row = interval({"remaining": "10"}, {"remaining": "8", "metered": USD})

    assert amounts(row) == (2, 0, 1, 1, "drift")


def test_what_we_metered_and_the_provider_did_not_take_is_drift_below_zero() -> None:
    assert amounts(interval({"remaining": "10"}, {"remaining": "10", "metered": USD})) == (
        0,
        0,
        1,
        -1,
        "drift",
    )


@pytest.mark.parametrize(
    ("metered", "tolerance", "status"),
    [("0.96", 5, "ok"), ("0.94", 5, "drift"), ("0.94", 6, "ok"), ("0.9995", 0, "ok"), ("0.998", 0, "drift")],
)
def test_a_channel_tolerates_a_share_and_less_than_a_tenth_of_a_cent(
    metered: str, tolerance: int, status: str
) -> None:
    last = {"remaining": "9", "metered": int(Decimal(metered) * USD)}

    row = interval({"remaining": "10"}, last, drift_tolerance=Decimal(tolerance))

    assert row is not None
    assert (row.status, row.tolerance) == (status, tolerance)


def test_where_use_is_counted_a_recharge_is_told_apart_exactly() -> None:
    first = {"remaining": "10", "used": "100", "period": "all"}
    last = {"remaining": "58", "used": "102", "period": "all", "metered": 2 * USD}

    assert amounts(interval(first, last)) == (2, 50, 2, 0, "recharged")


def test_a_recharge_hides_no_drift_where_use_is_counted() -> None:
    first = {"remaining": "10", "used": "100", "period": "all"}
    last = {"remaining": "57", "used": "103", "period": "all", "metered": 2 * USD}

    assert amounts(interval(first, last)) == (3, 50, 2, 1, "drift")


def test_where_only_the_rest_is_told_a_rise_is_a_recharge_and_use_is_assumed() -> None:
    row = interval({"remaining": "10"}, {"remaining": "58", "metered": 2 * USD})

    assert amounts(row) == (2, 50, 2, 0, "recharged")
    assert row is not None
    assert row.is_recharge_assumed


def test_the_spend_of_a_period_grows_by_what_was_taken() -> None:
    first, last = {"kind": "spend", "used": "100"}, {"kind": "spend", "used": "103", "metered": 3 * USD}

    assert amounts(interval(first, last)) == (3, 0, 3, 0, "ok")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ({"kind": "spend", "used": "100"}, {"kind": "spend", "used": "2"}),
        ({"kind": "spend", "used": "1", "resets_at": NOON}, {"kind": "spend", "used": "2"}),
        ({"kind": "spend"}, {"kind": "spend", "used": "2"}),
        ({"is_unlimited": True}, {"remaining": "5"}),
        ({"remaining": "5"}, {}),
    ],
)
def test_what_cannot_be_compared_is_unknown_and_not_0(first: dict[str, Any], last: dict[str, Any]) -> None:
    row = interval(first, {**last, "metered": USD})

    assert amounts(row) == (None, 0, 1, None, "unknown")


def test_amounts_in_another_currency_need_its_rate_of_the_day() -> None:
    first, last = {"remaining": "100", "currency": "CNY"}, {"remaining": "92.9", "currency": "CNY"}

    without = interval(first, {**last, "metered": USD})
    day = NOON.date()
    for per_usd, valid_from in (("7.1", day), ("9", day + timedelta(days=1))):
        set_rate(actor=make_root(), currency="CNY", per_usd=Decimal(per_usd), valid_from=valid_from, at=NOON)
    with_rate = interval(first, {**last, "metered": USD})

    assert amounts(without) == (Decimal("7.1"), 0, None, None, "no_rate")
    assert amounts(with_rate) == (Decimal("7.1"), 0, Decimal("7.1"), 0, "ok")


def test_what_was_only_calculated_is_compared_with_nothing() -> None:
    assert interval({"remaining": "5"}, {"remaining": "4", "is_estimated": True}) is None
    assert not Reconciliation.objects.exists()


def test_the_share_of_a_drift_is_of_the_larger_side_and_of_nothing_unknown() -> None:
    assert drift_percent(Decimal(1), taken=Decimal(4), metered=Decimal(3)) == 25
    assert drift_percent(Decimal(-1), taken=Decimal(0), metered=Decimal(1)) == -100
    assert drift_percent(Decimal(0), taken=Decimal(0), metered=Decimal(0)) is None
