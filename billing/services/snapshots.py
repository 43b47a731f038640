"""What the newest statements of providers say about their accounts."""

from collections.abc import Sequence
from decimal import Decimal

from django.db.models import Max

from billing.models import BalanceKind, BalanceSnapshot

NEAR_LIMIT = Decimal("0.95")
"""From this share of a limit on, calls go to other channels first."""


def newest_snapshots(channel_ids: Sequence[int] | None = None) -> list[BalanceSnapshot]:
    """The newest snapshot of each channel, kind and currency; of all channels if none are named."""
    found = BalanceSnapshot.objects.all()
    if channel_ids is not None:
        found = found.filter(channel__in=channel_ids)
    newest = found.values("channel", "kind", "currency").annotate(newest=Max("pk")).values("newest")
    return list(BalanceSnapshot.objects.filter(pk__in=newest).order_by("pk"))


def has_money(snapshots: Sequence[BalanceSnapshot]) -> bool | None:
    """Whether an account can pay for calls, by its newest snapshots of each kind and currency.

    :returns: None when nothing is known; a spend limit with room left says nothing of the account
    """
    if empty_kind(snapshots) is not None:
        return False
    told = [snapshot for snapshot in snapshots if snapshot.kind != BalanceKind.SPEND]
    return True if any(snapshot.has_money for snapshot in told) else None


def empty_kind(snapshots: Sequence[BalanceSnapshot]) -> BalanceKind | None:
    """Of what there is nothing left, in any currency."""
    for kind in BalanceKind:
        of_kind = [snapshot.has_money for snapshot in snapshots if snapshot.kind == kind]
        if of_kind and not any(money is not False for money in of_kind):
            return kind
    return None


def is_near_limit(snapshots: Sequence[BalanceSnapshot]) -> bool:
    """Whether a limit or a budget is almost used up."""
    return any(
        snapshot.limit is not None
        and snapshot.left is not None
        and snapshot.limit > 0
        and snapshot.left <= snapshot.limit * (1 - NEAR_LIMIT)
        for snapshot in snapshots
        if snapshot.kind != BalanceKind.BALANCE
    )
