"""What is left behind each channel, as bars that can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.models import BalanceKind, BalanceSnapshot
from billing.queries.channels import ChannelRow
from billing.queries.funds import LOW, Funds


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What is left of a limit, in its currency; or a balance beside the largest one, in quota units."""

    value: Decimal
    most: Decimal
    limit: BalanceSnapshot | None = None
    """None where it is a balance."""

    @property
    def is_low(self) -> bool:
        return self.value <= (self.most * LOW if self.limit is not None else 0)


def bars_of(
    rows: Sequence[ChannelRow], *, balances: Mapping[int, int], at: datetime
) -> list[tuple[ChannelRow, Bar | None]]:
    """Each row with its bar; None where nothing is known, or there is no limit.

    :param balances: what accounts hold, in quota units, where it is known what that is worth
    """
    most = Decimal(max(balances.values(), default=0))
    return [(row, _limit(row.funds, at) or _balance(balances.get(row.channel.pk), most)) for row in rows]


def _limit(funds: Funds, at: datetime) -> Bar | None:
    for told in (funds.spend, funds.balance):
        if told is None or told.kind == BalanceKind.BALANCE or told.is_unlimited:
            continue
        if told.limit and told.left is not None and not told.is_over(at):
            return Bar(value=max(told.left, Decimal(0)), most=told.limit, limit=told)
    return None


def _balance(quota: int | None, most: Decimal) -> Bar | None:
    return None if quota is None else Bar(value=Decimal(max(quota, 0)), most=max(most, Decimal(1)))
