"""What currencies were worth on a day, and which ones a rate is missing for."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from django.db.models import OuterRef, Subquery

from billing.models import BalanceSnapshot, Channel, ExchangeRate
from billing.queries.prices import plain

MAX_VERSIONS = 50
_USD = "USD"
_ONE = Decimal(1)
_SNAPSHOTS = 4
"""How many of each channel's newest are looked at: an account can count in several currencies at once."""


def rate_on(currency: str, day: date) -> Decimal | None:
    """How many units of a currency one US dollar was on a UTC day; None when nobody said so."""
    if currency == _USD:
        return _ONE
    version = version_on(currency, day)
    return None if version is None else version.per_usd


def version_on(currency: str, day: date) -> ExchangeRate | None:
    """The version that holds on a UTC day: of all that began the latest one, of one day's the newest."""
    valid = ExchangeRate.objects.filter(currency=currency, valid_from__lte=day)
    return valid.order_by("-valid_from", "-pk").first()


class RateBook:
    """All rates of all days, read once."""

    def __init__(self) -> None:
        self._days: dict[str, list[date]] = defaultdict(list)
        self._rates: dict[str, list[Decimal]] = defaultdict(list)
        rows = ExchangeRate.objects.order_by("currency", "valid_from", "pk")
        for currency, day, per_usd in rows.values_list("currency", "valid_from", "per_usd"):
            self._days[currency].append(day)
            self._rates[currency].append(per_usd)

    def rate_on(self, currency: str, day: date) -> Decimal | None:
        """As the function of the same name says it."""
        if currency == _USD:
            return _ONE
        found = bisect_right(self._days.get(currency, []), day)
        return self._rates[currency][found - 1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateVersion:
    """A version with its rate as text."""

    rate: ExchangeRate

    @property
    def text(self) -> str:
        return plain(self.rate.per_usd)


@dataclass(slots=True, kw_only=True)
class CurrencyRate:
    """A currency with the version in force and those that come, as the page shows it."""

    currency: str
    is_used: bool = False
    """Whether a provider counts in it."""
    rate: ExchangeRate | None = None
    coming: list[RateVersion] = field(default_factory=list)
    """By the day from which they will hold."""

    @property
    def is_missing(self) -> bool:
        return self.is_used and self.rate is None

    @property
    def per_usd(self) -> str:
        return plain(self.rate.per_usd) if self.rate else ""

    @property
    def in_usd(self) -> str:
        """What one unit of the currency is in US dollars, to four digits that count."""
        if self.rate is None:
            return ""
        return plain(Decimal(f"{_ONE / self.rate.per_usd:.4g}"))


def current_rates(at: datetime) -> list[CurrencyRate]:
    """Every currency that has a rate or that a provider counts in, those without a rate first."""
    today = at.astimezone(UTC).date()
    found = {currency: CurrencyRate(currency=currency, is_used=True) for currency in used_currencies()}
    for version in ExchangeRate.objects.select_related("created_by").order_by("valid_from", "pk"):
        row = found.setdefault(version.currency, CurrencyRate(currency=version.currency))
        if version.valid_from <= today:
            row.rate = version
            continue
        if row.coming and row.coming[-1].rate.valid_from == version.valid_from:
            row.coming.pop()
        row.coming.append(RateVersion(rate=version))
    return sorted(found.values(), key=lambda row: (not row.is_missing, row.currency))


def versions_of(currency: str) -> list[RateVersion]:
    """A currency's versions, the latest day first."""
    found = ExchangeRate.objects.filter(currency=currency).select_related("created_by")
    newest = found.order_by("-valid_from", "-pk")[:MAX_VERSIONS]
    return [RateVersion(rate=version) for version in newest]


def used_currencies() -> set[str]:
    """What providers count in besides US dollars, by the last balances of each channel."""
    newest = BalanceSnapshot.objects.filter(channel=OuterRef("pk")).order_by("-pk").values("currency")
    columns = {f"newest_{number}": Subquery(newest[number : number + 1]) for number in range(_SNAPSHOTS)}
    rows = Channel.objects.annotate(**columns).values_list(*columns)
    return {currency for row in rows for currency in row if currency} - {_USD}
