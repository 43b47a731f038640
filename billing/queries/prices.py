"""The price book as a whole: what each model costs, and where that comes from."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db.models import Count

from accounts.models import User
from billing import catalogue
from billing.models import Channel, GroupPrice, ModelPrice
from billing.pricing import Rate
from billing.services.config import current_group_prices, current_model_prices, operator_rate

_NANO = Decimal(10) ** 9
MAX_VERSIONS = 50


@dataclass(slots=True, kw_only=True)
class PricedModel:
    """A model by name, with the price that its own name has, if any."""

    name: str
    rate: Rate | None = None
    price: ModelPrice | None = None
    """The operator's version in force."""
    channels: int = 0
    """How many channels offer it under this name."""
    direct: int = 0
    """How many of these charge this name's own price."""
    served_as: set[str] = field(default_factory=set)
    """Other names under which channels serve it, as far as they have prices: those hold then."""
    refusing: int = 0
    """On how many of these channels calls are refused, since neither name has a price."""

    @property
    def source(self) -> str:
        if self.channels and not self.direct and self.served_as:
            return "served"
        if self.price is not None:
            return "operator"
        if self.rate is not None:
            return "catalogue"
        return "none"

    @property
    def catalogue_version(self) -> str:
        return catalogue.VERSION.partition(":")[2]

    @property
    def input(self) -> str:
        return _usd(self.rate.tiers[0].input) if self.rate and self.rate.tiers else ""

    @property
    def cached_input(self) -> str:
        return _usd(self.rate.tiers[0].cached_input) if self.rate and self.rate.tiers else ""

    @property
    def output(self) -> str:
        return _usd(self.rate.tiers[0].output) if self.rate and self.rate.tiers else ""

    @property
    def request(self) -> str:
        return _usd(self.rate.request) if self.rate and self.rate.request is not None else ""

    @property
    def dearer_above(self) -> int | None:
        """The prompt's length from which other prices hold."""
        return self.rate.tiers[1].above if self.rate and len(self.rate.tiers) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedGroup:
    name: str
    price: GroupPrice | None
    members: int

    @property
    def multiplier(self) -> str:
        return plain(self.price.multiplier) if self.price else "1"


class PriceBook:
    """The prices in force at one moment; reads the operators' once."""

    def __init__(self, *, at: datetime) -> None:
        self.at = at
        self.operator = {price.model: price for price in current_model_prices().select_related("created_by")}

    def rate(self, model: str) -> Rate | None:
        """The price that a name has by itself."""
        price = self.operator.get(model)
        if price is not None and not price.is_withdrawn:
            return operator_rate(price)
        return catalogue.find_rate(model=model, at=self.at)

    def unpriced(self, channel: Channel) -> list[str]:
        """Which of a channel's models have no price, so that calls for them are refused."""
        return [name for name in channel.models if not self.is_priced(channel, name)]

    def is_priced(self, channel: Channel, name: str) -> bool:
        served = channel.model_mapping.get(name, name)
        return self.rate(served) is not None or self.rate(name) is not None

    def models(self) -> list[PricedModel]:
        """Every model that channels offer or operators priced, by name."""
        found: dict[str, PricedModel] = {}
        for name, price in self.operator.items():
            if not price.is_withdrawn:
                found[name] = PricedModel(name=name, rate=self.rate(name), price=price)
        for channel in Channel.objects.defer("encrypted_key").order_by("pk"):
            for name in channel.models:
                row = found.setdefault(name, PricedModel(name=name, rate=self.rate(name)))
                row.channels += 1
                row.refusing += not self.is_priced(channel, name)
                served = channel.model_mapping.get(name, name)
                target = found.setdefault(served, PricedModel(name=served, rate=self.rate(served)))
                if served != name and target.rate:
                    row.served_as.add(served)
                else:
                    row.direct += 1
        return sorted(found.values(), key=lambda row: row.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceVersion:
    """One version with its prices as text."""

    price: ModelPrice
    input_text: str
    cached_text: str
    output_text: str
    request_text: str


def versions_of(model: str) -> list[PriceVersion]:
    """An operator's prices of a model, newest first."""
    found = ModelPrice.objects.filter(model=model).select_related("created_by").order_by("-pk")[:MAX_VERSIONS]
    return [
        PriceVersion(
            price=price,
            input_text=usd(price.input_price),
            cached_text=usd(price.cached_input_price),
            output_text=usd(price.output_price),
            request_text=usd(price.request_price),
        )
        for price in found
    ]


def group_prices() -> list[PricedGroup]:
    """Every group that has members, a channel or a multiplier, by name."""
    counts = dict(User.objects.present().values_list("group").annotate(people=Count("pk")).order_by("group"))
    members: dict[str, int] = defaultdict(int, counts)
    prices = {price.group: price for price in current_group_prices().select_related("created_by")}
    served = {group for groups in Channel.objects.values_list("groups", flat=True) for group in groups}
    return [
        PricedGroup(name=name, price=prices.get(name), members=members[name])
        for name in sorted({*counts, *prices, *served, "default"})
    ]


def plain(number: Decimal) -> str:
    """Without the zeros at its end."""
    return f"{number.normalize():f}"


def usd(price: Decimal | None) -> str:
    """A price with two to nine decimals."""
    if price is None:
        return ""
    whole, _, decimals = plain(price).partition(".")
    return f"${int(whole):,}.{decimals.ljust(2, '0')}"


def _usd(nano: int) -> str:
    return usd(Decimal(nano) / _NANO)


def list_prices(rate: Rate) -> dict[str, str]:
    """A rate's first prices as plain numbers, by the names that ``ModelPrice`` has for them."""
    if rate.request is not None:
        return {"request_price": plain(Decimal(rate.request) / _NANO)}
    first = rate.tiers[0]
    amounts = {
        "input_price": first.input,
        "cached_input_price": first.cached_input,
        "output_price": first.output,
    }
    return {name: plain(Decimal(nano) / _NANO) for name, nano in amounts.items()}
