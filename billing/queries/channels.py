"""Reading channels with their counters, balances and what hinders them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db.models import Max

from billing.models import BalanceKind, BalanceSnapshot, Channel
from billing.queries.prices import PriceBook

STALE_AFTER = timedelta(minutes=30)
"""Balances are asked for every ten minutes; three rounds missed make one old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """A channel as lists show it."""

    channel: Channel
    balance: BalanceSnapshot | None
    """The newest prepaid balance; None when the provider never told one."""
    spend_limit: BalanceSnapshot | None
    unpriced: list[str]
    is_stale: bool

    @property
    def host(self) -> str:
        return urlsplit(self.channel.base_url).netloc

    @property
    def remaining_text(self) -> str:
        """The balance without its sign, to the cent."""
        if self.balance is None or self.balance.remaining is None:
            return ""
        return f"{abs(self.balance.remaining):,.2f}"

    @property
    def upstream_cost(self) -> int:
        """In quota units, rounded up."""
        return nano_to_quota(self.channel.totals.upstream_cost)


def channel_rows(*, at: datetime, pk: int | None = None) -> list[ChannelRow]:
    """All channels, those that are used first at the top; only one when ``pk`` is given."""
    channels = (
        Channel.objects.select_related("totals").defer("encrypted_key").order_by("status", "-priority", "pk")
    )
    found = list(channels if pk is None else channels.filter(pk=pk))
    found.sort(key=lambda channel: not channel.is_enabled)
    newest = newest_snapshots([channel.pk for channel in found])
    book = PriceBook(at=at)
    rows = []
    for channel in found:
        balance = newest.get((channel.pk, BalanceKind.BALANCE))
        rows.append(
            ChannelRow(
                channel=channel,
                balance=balance,
                spend_limit=newest.get((channel.pk, BalanceKind.SPEND_LIMIT)),
                unpriced=book.unpriced(channel),
                is_stale=balance is not None and at - balance.created_at > STALE_AFTER,
            )
        )
    return rows


def newest_snapshots(channel_ids: Sequence[int]) -> dict[tuple[int, str], BalanceSnapshot]:
    """The newest snapshot of each channel and kind."""
    groups = BalanceSnapshot.objects.filter(channel__in=channel_ids).values("channel", "kind")
    newest = groups.annotate(newest=Max("pk")).values("newest")
    return {(row.channel_id, row.kind): row for row in BalanceSnapshot.objects.filter(pk__in=newest)}


def nano_to_quota(nano_usd: int) -> int:
    """Billionths of a dollar as quota units, rounded up."""
    return -(-nano_usd // 2000)
