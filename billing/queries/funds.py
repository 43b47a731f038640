"""What is known of the money behind channels: the second quota."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models import (
    BalanceKind,
    BalancePoll,
    BalanceSnapshot,
    Channel,
    Reconciliation,
    ReconciliationStatus,
)
from billing.services.reconciling import percent_of
from billing.services.snapshots import has_money, newest_snapshots, told_snapshots
from billing.upstream.balances.providers.manual import Manual
from billing.upstream.balances.registry import ADAPTERS

STALE_AFTER = 3
"""So many rounds missed make a balance old."""
LOW = Decimal("0.1")
"""What is left of a limit or a budget is low below this share."""


class MoneyState(models.TextChoices):
    """How it stands with the money of an upstream account, the worst first."""

    EXHAUSTED = "exhausted", _("Used up")
    ERROR = "error", _("Cannot be read")
    DRIFT = "drift", _("Drift")
    STALE = "stale", _("Old")
    LOW = "low", _("Low")
    RECHARGED = "recharged", _("Recharged")
    OK = "ok", _("In order")
    UNSUPPORTED = "unsupported", _("Not told")


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """What is known of the money behind a channel."""

    channel: Channel
    poll: BalancePoll | None
    """None only where the channel was deleted meanwhile."""
    snapshots: Sequence[BalanceSnapshot]
    """The newest of each kind and currency."""
    reconciliation: Reconciliation | None
    """That ends with what is known now; of several kinds or currencies the one with the drift."""
    at: datetime

    @property
    def balance(self) -> BalanceSnapshot | None:
        """What may still be spent: the account's balance, else the key's budget; None if never told."""
        return self._newest(BalanceKind.BALANCE) or self._newest(BalanceKind.KEY_BUDGET)

    @property
    def spend(self) -> BalanceSnapshot | None:
        """What was spent in the running period, and its limit where there is one."""
        return self._newest(BalanceKind.SPEND)

    @property
    def source(self) -> str:
        """Where the balance is read from."""
        return str(ADAPTERS[self.channel.source_of_balance].title)

    @property
    def told_at(self) -> datetime | None:
        """When the provider last told anything."""
        newest = max((snapshot.created_at for snapshot in self.snapshots), default=None)
        answered = None if self.poll is None else self.poll.answered_at
        return max(filter(None, (newest, answered)), default=None)

    @property
    def is_stale(self) -> bool:
        """Whether what is shown may have changed since."""
        patience = timedelta(minutes=self.channel.balance_minutes) * STALE_AFTER
        return self.told_at is not None and self.at - self.told_at > patience

    @property
    def is_low(self) -> bool:
        """Whether little is left of a limit."""
        return any(
            snapshot.limit and snapshot.left is not None and snapshot.left < snapshot.limit * LOW
            for snapshot in self.snapshots
            if snapshot.kind == BalanceKind.SPEND  # the others' limit is what was ever paid in
        )

    @property
    def state(self) -> MoneyState:
        """The worst of what is known."""
        newest = None if self.reconciliation is None else self.reconciliation.status
        found = {
            MoneyState.EXHAUSTED: has_money(self.snapshots, at=self.at) is False,
            MoneyState.ERROR: self.poll is not None and self.poll.is_refused,
            MoneyState.DRIFT: newest == ReconciliationStatus.DRIFT,
            MoneyState.STALE: self.is_stale,
            MoneyState.LOW: self.is_low,
            MoneyState.RECHARGED: newest == ReconciliationStatus.RECHARGED,
            MoneyState.OK: bool(self.snapshots),
        }
        return next((state for state, is_so in found.items() if is_so), MoneyState.UNSUPPORTED)

    @property
    def severity(self) -> int:
        """The place of its state among all, the worst being 0."""
        return list(MoneyState).index(self.state)

    @property
    def drift_percent(self) -> Decimal | None:
        """Of the newest interval; None where nothing was taken or nothing is known."""
        return None if self.reconciliation is None else percent_of(self.reconciliation)

    @property
    def is_entered_by_hand(self) -> bool:
        """Whether an operator tells the balance, since the provider does not."""
        return self.channel.source_of_balance == Manual.code

    @property
    def remaining_text(self) -> str:
        """The balance without its sign, to the cent."""
        if self.balance is None or self.balance.left is None:
            return ""
        return f"{abs(self.balance.left):,.2f}"

    def _newest(self, kind: BalanceKind) -> BalanceSnapshot | None:
        of_kind = [snapshot for snapshot in self.snapshots if snapshot.kind == kind]
        return max(of_kind, key=lambda one: (one.has_money is True, one.created_at, one.pk), default=None)


def funds_of(channels: Sequence[Channel], *, at: datetime) -> list[Funds]:
    """The money behind channels, in their order, in three queries."""
    polls = BalancePoll.objects.in_bulk([channel.pk for channel in channels])
    told = [key for poll in polls.values() for key in poll.told]
    snapshots, reconciliations = _by_channel(told_snapshots(told)), _reconciliations(told)
    return [
        Funds(
            channel=channel,
            poll=polls.get(channel.pk),
            snapshots=snapshots.get(channel.pk, []),
            reconciliation=reconciliations.get(channel.pk),
            at=at,
        )
        for channel in channels
    ]


def snapshots_of(channel_ids: Sequence[int]) -> Mapping[int, list[BalanceSnapshot]]:
    """The newest snapshots of channels, one for each kind and currency."""
    return _by_channel(newest_snapshots(channel_ids))


def _by_channel(snapshots: Iterable[BalanceSnapshot]) -> Mapping[int, list[BalanceSnapshot]]:
    found = defaultdict[int, list[BalanceSnapshot]](list)
    for snapshot in snapshots:
        found[snapshot.channel_id].append(snapshot)
    return found


def reconciliations_of(channel_ids: Sequence[int]) -> dict[int, Reconciliation]:
    """The interval of each channel that ends with what is known now; of several one with a drift."""
    told = BalancePoll.objects.filter(pk__in=channel_ids).values_list("told", flat=True)
    return _reconciliations([key for keys in told for key in keys])


def _reconciliations(told: Sequence[int]) -> dict[int, Reconciliation]:
    rows = Reconciliation.objects.filter(last__in=told)
    ranked = sorted(rows, key=lambda row: (row.status == ReconciliationStatus.DRIFT, row.pk))
    return {row.channel_id: row for row in ranked}
