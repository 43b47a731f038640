"""Channels and prices as the relay needs them, and the version that says when to read them again."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog
from cryptography.fernet import InvalidToken
from django.db import connection, transaction
from django.db.models import F, Max, QuerySet
from django.utils import timezone

from billing import catalogue
from billing.models import BalanceSnapshot, Channel, ConfigVersion, GroupPrice, ModelPrice
from billing.pricing import Rate, Tier, nano
from billing.services.snapshots import has_money, is_near_limit, newest_snapshots
from oneapi_admin.lib.sql import table

logger = structlog.get_logger(__name__)

_ONE = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An enabled channel, ready to be called."""

    channel_id: int
    name: str
    base_url: str
    key: str
    models: frozenset[str]
    model_mapping: Mapping[str, str]
    groups: frozenset[str]
    priority: int
    weight: int
    cost_multiplier: Decimal
    has_money: bool | None
    """By what the provider told last; None when it told nothing."""
    is_near_limit: bool
    """A limit of the provider is almost reached: others come first."""

    def served_model(self, model: str) -> str:
        """What the channel calls the model."""
        return self.model_mapping.get(model, model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that operators configured, as of one version."""

    version: int
    routes: tuple[Route, ...]
    known_models: frozenset[str]
    """Of all channels, the disabled ones too."""
    operator_rates: Mapping[str, Rate]
    multipliers: Mapping[str, Decimal]

    def rate(self, *, model: str, served_model: str, at: datetime) -> Rate | None:
        """The price callers pay: of the model actually served, else of the one asked for."""
        for name in (served_model, model):
            rate = self.operator_rates.get(name) or catalogue.find_rate(model=name, at=at)
            if rate is not None:
                return rate
        return None

    def upstream_rate(self, *, served_model: str, at: datetime, fallback: Rate) -> Rate:
        """The price the provider takes: its list price where we know it."""
        return catalogue.find_rate(model=served_model, at=at) or fallback

    def multiplier(self, group: str) -> Decimal:
        return self.multipliers.get(group, _ONE)

    def routes_for(self, *, group: str, model: str) -> list[Route]:
        return [route for route in self.routes if model in route.models and group in route.groups]

    def models_for(self, *, group: str) -> set[str]:
        """The models that members of a group can call."""
        return {model for route in self.routes if group in route.groups for model in route.models}


def bump_version() -> None:
    """Tell every process to read the configuration again; call it in the transaction of the change."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("bump_version belongs to the transaction of the change")
    ConfigVersion.objects.filter(pk=1).update(version=F("version") + 1)


def current_version() -> int:
    """The version that is in force; read with every batch of calls, so without the ORM."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT version FROM {table(ConfigVersion)} WHERE id = 1")
        [version] = cursor.fetchone()
    return int(version)


def load_config() -> Config:
    """Read channels, prices and groups.

    The version comes first: what is changed meanwhile may be in the rest already, and the next
    call, which sees a higher version, reads everything again.
    """
    version, now = current_version(), timezone.now()
    channels = list(Channel.objects.order_by("pk"))
    balances = defaultdict[int, list[BalanceSnapshot]](list)
    for snapshot in newest_snapshots():
        balances[snapshot.channel_id].append(snapshot)
    prices = list(current_model_prices().exclude(is_withdrawn=True))
    groups = list(current_group_prices())
    return Config(
        version=version,
        routes=tuple(_routes(channels, balances, now)),
        known_models=frozenset(model for channel in channels for model in channel.models),
        operator_rates={price.model: operator_rate(price) for price in prices},
        multipliers={group.group: group.multiplier for group in groups},
    )


def current_model_prices() -> QuerySet[ModelPrice]:
    """The newest version of each model's operator price, by model."""
    newest = ModelPrice.objects.values("model").annotate(newest=Max("pk")).values("newest")
    return ModelPrice.objects.filter(pk__in=newest).order_by("model")


def current_group_prices() -> QuerySet[GroupPrice]:
    """The newest multiplier of each group, by group."""
    newest = GroupPrice.objects.values("group").annotate(newest=Max("pk")).values("newest")
    return GroupPrice.objects.filter(pk__in=newest).order_by("group")


def operator_rate(price: ModelPrice) -> Rate:
    """An operator's price as a rate; cached input costs what input costs unless priced."""
    version = f"operator:{price.pk}"
    if price.request_price is not None:
        return Rate(
            version=version, request=nano(price.request_price), max_output_tokens=price.max_output_tokens
        )
    input_price, output_price = price.input_price or Decimal(0), price.output_price or Decimal(0)
    cached = input_price if price.cached_input_price is None else price.cached_input_price
    tier = Tier(above=-1, input=nano(input_price), cached_input=nano(cached), output=nano(output_price))
    return Rate(version=version, tiers=(tier,), max_output_tokens=price.max_output_tokens)


def _routes(
    channels: Iterable[Channel], balances: Mapping[int, Sequence[BalanceSnapshot]], at: datetime
) -> Iterator[Route]:
    """The enabled channels; one whose key cannot be read must not take the others with it."""
    for channel in channels:
        if channel.is_enabled:
            try:
                yield _route(channel, balances.get(channel.pk, ()), at)
            except InvalidToken:
                logger.exception("billing.channel_key_unreadable", channel_id=channel.pk)


def _route(channel: Channel, balances: Sequence[BalanceSnapshot], at: datetime) -> Route:
    return Route(
        channel_id=channel.pk,
        name=channel.name,
        base_url=channel.base_url.rstrip("/"),
        key=channel.get_key(),
        models=frozenset(channel.models),
        model_mapping=channel.model_mapping,
        groups=frozenset(channel.groups),
        priority=channel.priority,
        weight=channel.weight,
        cost_multiplier=channel.cost_multiplier,
        has_money=has_money(balances, at=at),
        is_near_limit=is_near_limit(balances, at=at),
    )
