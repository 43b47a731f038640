"""What the newest statements of providers say about their accounts."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from billing.models import BalanceKind, BalancePoll, BalanceSnapshot

NEAR_LIMIT = Decimal("0.95")
"""From this share of a limit on, calls go to other channels first."""


def newest_snapshots(channel_ids: Sequence[int] | None = None) -> list[BalanceSnapshot]:
    """What each provider told last, of each kind and currency; of all channels if none are named."""
    polls = BalancePoll.objects.all()
    if channel_ids is not None:
        polls = polls.filter(pk__in=channel_ids)
    return told_snapshots([key for told in polls.values_list("told", flat=True) for key in told])


def told_snapshots(keys: Sequence[int]) -> list[BalanceSnapshot]:
    """Snapshots without the provider's answers.

    :param keys: as ``BalancePoll.told`` names them
    """
    return list(BalanceSnapshot.objects.filter(pk__in=keys).defer("raw").order_by("pk"))


def has_money(snapshots: Sequence[BalanceSnapshot], *, at: datetime) -> bool | None:
    """Whether an account can pay for calls, by its newest snapshots of each kind and currency.

    :returns: None when nothing is known; a spend limit with room left says nothing of the account
    """
    if empty_kind(snapshots, at=at) is not None:
        return False
    told = [snapshot for snapshot in snapshots if snapshot.kind != BalanceKind.SPEND]
    return True if any(snapshot.has_money for snapshot in told) else None


def empty_kind(snapshots: Sequence[BalanceSnapshot], *, at: datetime) -> BalanceKind | None:
    """Of what there is nothing left: of money in any currency, of a limit in one."""
    for kind in BalanceKind:
        of_kind = [one.has_money for one in snapshots if one.kind == kind and not one.is_over(at)]
        is_used_up = any if kind == BalanceKind.SPEND else all  # a limit of one currency is enough
        if of_kind and is_used_up(money is False for money in of_kind):
            return kind
    return None


def is_near_limit(snapshots: Sequence[BalanceSnapshot], *, at: datetime) -> bool:
    """Whether a limit or a budget is almost used up."""
    return any(
        snapshot.limit is not None
        and snapshot.left is not None
        and snapshot.limit > 0
        and snapshot.left <= snapshot.limit * (1 - NEAR_LIMIT)
        for snapshot in snapshots
        if snapshot.kind != BalanceKind.BALANCE and not snapshot.is_over(at)
    )
