"""Reading channels with their counters, balances and what hinders them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from billing.forecasting import Forecast
from billing.models import Channel
from billing.queries.forecasts import balance_forecasts
from billing.queries.funds import Funds, funds_of
from billing.queries.prices import PriceBook


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRow:
    """A channel as lists show it."""

    channel: Channel
    funds: Funds
    unpriced: list[str]
    forecast: Forecast | None = None
    """When its balance runs out; None also where nobody asked."""

    @property
    def host(self) -> str:
        return urlsplit(self.channel.base_url).netloc

    @property
    def upstream_cost(self) -> int:
        """In quota units, rounded up."""
        return nano_to_quota(self.channel.totals.upstream_cost)


def channel_rows(*, at: datetime, pk: int | None = None) -> list[ChannelRow]:
    """All channels, those that are used first at the top; only one when ``pk`` is given."""
    channels = (
        Channel.objects.select_related("totals")
        .defer("encrypted_key", "encrypted_balance_access")
        .order_by("status", "-priority", "pk")
    )
    found = list(channels if pk is None else channels.filter(pk=pk))
    found.sort(key=lambda channel: not channel.is_enabled)
    book = PriceBook(at=at)
    return [
        ChannelRow(channel=funds.channel, funds=funds, unpriced=book.unpriced(funds.channel))
        for funds in funds_of(found, at=at)
    ]


def with_forecasts(rows: Sequence[ChannelRow], *, at: datetime) -> list[ChannelRow]:
    """The same rows with when their balances run out, for two more queries and some computing."""
    found = balance_forecasts({row.channel.pk: row.funds.snapshots for row in rows}, at=at)
    return [replace(row, forecast=found[row.channel.pk]) for row in rows]


def nano_to_quota(nano_usd: int) -> int:
    """Billionths of a dollar as quota units, rounded up."""
    return -(-nano_usd // 2000)
