"""Comparing what a provider took with what we metered, between two of its statements."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.models import BalanceKind, BalanceSnapshot, Channel, Reconciliation, ReconciliationStatus
from billing.queries.rates import rate_on

_NANO = Decimal(10) ** 9
_MICRO = Decimal("0.000001")
_ZERO = Decimal(0)
LEAST_DRIFT = Decimal("0.001")
"""Less than this, in the account's currency, is rounding, whatever the tolerance is."""


class Movement(NamedTuple):
    """What happened to an account between two statements, as far as they tell."""

    taken: Decimal | None
    """None when they do not tell: what was metered is the best guess then."""
    recharged: Decimal


def reconcile(
    *, channel: Channel, first: BalanceSnapshot, last: BalanceSnapshot, at: datetime
) -> Reconciliation | None:
    """Write down an interval; inside the transaction that wrote its last snapshot.

    :param first: the snapshot before ``last``, of the same kind and currency
    :returns: None where there is nothing to compare: an amount that was calculated from what was metered
    """
    if last.is_estimated:
        return None
    metered = in_currency(last.metered - first.metered, last.currency, at=last.created_at)
    moved = movement(first, last)
    row = Reconciliation(
        channel=channel,
        kind=last.kind,
        currency=last.currency,
        first=first,
        last=last,
        began_at=first.created_at,
        ended_at=last.created_at,
        metered=metered,
        tolerance=channel.drift_tolerance,
        created_at=at,
    )
    if moved is None:
        row.status = ReconciliationStatus.UNKNOWN
    elif metered is None:
        row.taken, row.recharged, row.status = moved.taken, moved.recharged, ReconciliationStatus.NO_RATE
    elif moved.taken is None:
        row.taken, row.drift, row.is_recharge_assumed = metered, _ZERO, True
        row.recharged, row.status = moved.recharged + metered, ReconciliationStatus.RECHARGED
    else:
        row.taken, row.recharged, row.drift = moved.taken, moved.recharged, moved.taken - metered
        row.status = _status(row.drift, moved, metered, channel.drift_tolerance)
    row.save()
    return row


def movement(first: BalanceSnapshot, last: BalanceSnapshot) -> Movement | None:
    """What was taken and paid in between two snapshots of one kind and currency.

    Where the provider counts what was used since the beginning, a rise of what is left is exactly the rest.

    :returns: None when they cannot be compared
    """
    used = _difference(last.used, first.used)
    fallen = _difference(first.remaining, last.remaining)
    if last.kind == BalanceKind.SPEND:
        is_one_period = used is not None and used >= 0 and first.resets_at == last.resets_at
        return Movement(used, _ZERO) if is_one_period else None
    if used is not None and used >= 0 and last.period == "all":
        return Movement(used, _ZERO if fallen is None else used - fallen)
    if fallen is None:
        return None
    return Movement(fallen, _ZERO) if fallen >= 0 else Movement(None, -fallen)


def in_currency(nano_usd: int, currency: str, *, at: datetime) -> Decimal | None:
    """Billionths of a dollar in a currency, at the rate of a day; None without a rate."""
    rate = rate_on(currency, at.date())
    return None if rate is None else (Decimal(nano_usd) / _NANO * rate).quantize(_MICRO)


def drift_percent(drift: Decimal, *, taken: Decimal, metered: Decimal) -> Decimal | None:
    """Drift as a share of the larger of both sides; None where both are 0."""
    base = max(abs(taken), abs(metered))
    return None if not base else 100 * drift / base


def percent_of(row: Reconciliation) -> Decimal | None:
    """The drift as a share of the larger side; None where nothing was taken or nothing is known."""
    if row.drift is None or row.taken is None or row.metered is None:
        return None
    percent = drift_percent(row.drift, taken=row.taken, metered=row.metered)
    return None if percent is None else percent.quantize(Decimal("0.01"))


def _status(drift: Decimal, moved: Movement, metered: Decimal, tolerance: Decimal) -> ReconciliationStatus:
    taken = moved.taken or _ZERO
    percent = drift_percent(drift, taken=taken, metered=metered)
    if percent is not None and abs(drift) > LEAST_DRIFT and abs(percent) > tolerance:
        return ReconciliationStatus.DRIFT
    return ReconciliationStatus.RECHARGED if abs(moved.recharged) > LEAST_DRIFT else ReconciliationStatus.OK


def _difference(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one - other
