"""Upstream accounts: connecting, changing, testing."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any, Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Body as RequestBody
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope
from billing.api.balances import BalanceAccess, BalanceMinutes, BalanceSource, DriftTolerance, SnapshotOut
from billing.api.schemas import Group, StatusName, Usd
from billing.models import Channel
from billing.queries.funds import Funds, MoneyState, funds_of
from billing.services import channels as services
from billing.services.channel_test import test_channel
from oneapi_admin.lib.api.etags import IF_MATCH, check_if_match, etag_of, set_etag
from oneapi_admin.lib.api.fields import Body, Id, Name, PathId, Quota, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["channels"])

_HOST = r"[A-Za-z0-9]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*"
_HEX = "[0-9A-Fa-f]{1,4}"
_IPV6 = rf"\[(({_HEX}:){{7}}{_HEX}|({_HEX}:){{1,4}}(:{_HEX}){{1,3}}|::({_HEX}:){{0,5}}{_HEX})\]"
_PORT = r":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PATH = r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*"

BaseUrl = Annotated[
    str,
    Field(
        max_length=255,
        pattern=rf"^https?://({_HOST}|{_IPV6})({_PORT})?{_PATH}$",
        examples=["https://api.openai.com"],
        description="Where the provider's OpenAI-compatible API is; a final `/v1` is left off.",
    ),
]
ProviderKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=4096,
        pattern=r"^[\x21-\x7e]+$",
        examples=["sk-…"],
        description="The provider's key; kept encrypted and never given back.",
    ),
]
ModelName = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[^\s,\x00-\x1f\x7f]+$", examples=["gpt-4o"])
]
ModelNames = Annotated[
    list[ModelName], Field(min_length=1, max_length=2000, description="As callers ask for them.")
]
Mapped = Annotated[
    dict[ModelName, ModelName],
    Field(
        max_length=2000,
        description="For models that the provider calls otherwise: as asked, to as served.",
        examples=[{"gpt-4o": "gpt-4o-2024-08-06"}],
    ),
]
Groups = Annotated[
    list[Group], Field(min_length=1, max_length=100, description="Whose calls the channel serves.")
]
Priority = Annotated[int, Field(ge=-1000, le=1000, description="Higher ones are used first.")]
Weight = Annotated[int, Field(ge=0, le=1000, description="The share among those of one priority.")]
CostMultiplier = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$",
        examples=["0.8"],
        description="What the provider takes, as a multiple of the list price; a decimal number as a string.",
    ),
]


class ChannelIn(Body):
    name: Name
    base_url: BaseUrl
    key: ProviderKey
    models: ModelNames
    model_mapping: Mapped = {}
    groups: Groups = ["default"]
    priority: Priority = 0
    weight: Weight = 1
    cost_multiplier: CostMultiplier = "1"
    balance_source: BalanceSource = ""
    balance_access: BalanceAccess = {}
    balance_minutes: BalanceMinutes = 10
    drift_tolerance: DriftTolerance = "5"


class ChannelPatch(Body):
    """What to change; what is left out or null stays. A `base_url` on another host needs the key again."""

    name: Name | None = None
    base_url: BaseUrl | None = None
    key: ProviderKey | None = None
    models: ModelNames | None = None
    model_mapping: Mapped | None = None
    groups: Groups | None = None
    priority: Priority | None = None
    weight: Weight | None = None
    cost_multiplier: CostMultiplier | None = None
    balance_source: BalanceSource | None = None
    balance_access: BalanceAccess | None = None
    balance_minutes: BalanceMinutes | None = None
    drift_tolerance: DriftTolerance | None = None
    status: StatusName | None = None


class ChannelTestIn(Body):
    model: ModelName | None = Field(
        None, description="One of the channel's models, as callers ask for it; its first one by default."
    )


class ChannelTestOut(Schema):
    """How a channel answered one small chat completion."""

    ok: bool
    model: str
    latency_ms: int | None = Field(ge=0, description="Null when it did not answer.")
    error: str = Field(description="In words, in the caller's language; empty when it answered.")


class ChannelOut(Schema):
    """An upstream account; its key is never given back."""

    id: Id
    name: str
    base_url: str
    key_hint: str = Field(description="The key's last four characters, to tell keys apart.")
    models: list[str]
    model_mapping: dict[str, str]
    groups: list[str]
    priority: int
    weight: int = Field(ge=0)
    cost_multiplier: str = Field(examples=["0.8"])
    status: Literal["enabled", "manually_disabled", "auto_disabled"]
    disabled_reason: Literal["", "balance_exhausted", "budget_exhausted", "limit_reached"] = Field(
        description="Why it was disabled automatically."
    )
    balance_source: str = Field(description="Where the balance is read from, chosen or guessed.")
    balance_access_hints: dict[str, str] = Field(description="What is readable of the credentials for it.")
    balance_minutes: int
    drift_tolerance: str = Field(examples=["5"])
    is_sandbox: bool
    used_quota: Quota = Field(description="What its calls were charged, in quota units.")
    upstream_cost_usd: Usd = Field(description="What its calls cost at the provider by our price book.")
    request_count: int = Field(ge=0)
    balance: SnapshotOut | None = Field(
        description="The newest prepaid balance, else the newest budget of the key; null when none was told."
    )
    spend_limit: SnapshotOut | None = Field(
        description="The newest spend of a period, and its limit; null when none was ever told."
    )
    balance_state: Literal[tuple(MoneyState.values)] = Field(  # type: ignore[valid-type]
        description="How it stands with the money; the worst of what is known."
    )
    balance_read_at: Time | None = Field(description="When the provider last told anything.")
    balance_error: str = Field(description="Why it told nothing the last time; empty when it did.")
    tested_at: Time | None
    test_ms: int | None = Field(description="How long the last test took; null when it failed.")
    test_error: str
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, funds: Funds) -> "ChannelOut":
        """
        :param funds: of a channel with its ``totals``
        """
        channel = funds.channel
        columns = (
            *("id", "name", "base_url", "key_hint", "models", "model_mapping", "groups", "priority"),
            *("weight", "status", "disabled_reason", "is_sandbox", "tested_at", "test_ms", "test_error"),
            *("balance_access_hints", "balance_minutes", "created_at", "updated_at"),
        )
        return cls(
            cost_multiplier=_decimal_text(channel.cost_multiplier),
            used_quota=channel.totals.used_quota,
            upstream_cost_usd=Decimal(channel.totals.upstream_cost).scaleb(-9),
            request_count=channel.totals.request_count,
            balance_source=channel.source_of_balance,
            drift_tolerance=_decimal_text(channel.drift_tolerance),
            balance=None if funds.balance is None else SnapshotOut.of(funds.balance),
            spend_limit=None if funds.spend is None else SnapshotOut.of(funds.spend),
            balance_state=funds.state,
            balance_read_at=funds.told_at,
            balance_error="" if funds.poll is None else funds.poll.error,
            **{name: getattr(channel, name) for name in columns},
        )


class ChannelListQuery(PageQuery):
    status: Literal["enabled", "manually_disabled", "auto_disabled"] | None = None


@router.get("", response=PageOut[ChannelOut], operation_id="listChannels")
@requires(Scope.CHANNELS, is_read=True, is_for_operators=True)
def list_channels(request: ApiRequest, page_query: Query[ChannelListQuery]) -> object:  # noqa: ARG001
    """All channels, newest first."""
    found = _channels()
    if page_query.status is not None:
        found = found.filter(status=page_query.status)
    rows = page(found, page_query, lambda channel: channel)
    return {**rows, "items": _described(rows["items"])}


@router.post("", response={201: ChannelOut, **errors(409)}, operation_id="createChannel")
@requires(Scope.CHANNELS, is_for_operators=True)
@idempotent(201)
def create_channel(request: ApiRequest, data: ChannelIn) -> ChannelOut:
    """Connect an upstream account. It serves calls at once."""
    settings = _settings(data.model_dump(exclude={"key", "balance_access"}))
    channel = services.create_channel(
        actor=request.auth.user, settings=settings, key=data.key, balance_access=data.balance_access
    )
    return _described([_found(channel.pk)])[0]


@router.get("/{channel_id}", response={200: ChannelOut, **errors(404)}, operation_id="getChannel")
@requires(Scope.CHANNELS, is_read=True, is_for_operators=True)
def get_channel(request: ApiRequest, response: HttpResponse, channel_id: PathId) -> ChannelOut:  # noqa: ARG001
    """One channel."""
    channel = _found(channel_id)
    set_etag(response, channel_etag(channel))
    return _described([channel])[0]


@router.patch(
    "/{channel_id}",
    response={200: ChannelOut, **errors(404, 412)},
    operation_id="updateChannel",
    openapi_extra=IF_MATCH,
)
@requires(Scope.CHANNELS, is_for_operators=True)
def update_channel(
    request: ApiRequest, response: HttpResponse, channel_id: PathId, data: ChannelPatch
) -> ChannelOut:
    """Change a channel, from the next call on."""
    actor = request.auth.user
    changes = data.model_dump(exclude_none=True, exclude={"key", "balance_access", "status"})
    with transaction.atomic(durable=True):
        channel = _locked(request, channel_id)
        if changes or data.key is not None or data.balance_access is not None:
            present = asdict(services.ChannelSettings.of(channel))
            services.update_channel(
                actor=actor,
                channel=channel,
                settings=_settings({**present, **changes}),
                key=data.key or "",
                balance_access=data.balance_access,
            )
        if data.status is not None:
            services.set_channel_status(actor=actor, channel=channel, is_enabled=data.status == "enabled")
        changed = _found(channel_id)
    set_etag(response, channel_etag(changed))
    return _described([changed])[0]


@router.delete(
    "/{channel_id}",
    response={204: None, **errors(404, 412)},
    operation_id="deleteChannel",
    openapi_extra=IF_MATCH,
)
@requires(Scope.CHANNELS, is_for_operators=True)
def delete_channel(request: ApiRequest, channel_id: PathId) -> HttpResponse:
    """Delete a channel with its key and its balances; the calls that it served stay."""
    with transaction.atomic(durable=True):
        services.delete_channel(actor=request.auth.user, channel=_locked(request, channel_id))
    return HttpResponse(status=204)


@router.post("/{channel_id}/test", response={200: ChannelTestOut, **errors(404)}, operation_id="testChannel")
@requires(Scope.CHANNELS, is_for_operators=True)
def run_test(
    request: ApiRequest,  # noqa: ARG001
    channel_id: PathId,
    data: RequestBody[ChannelTestIn | None] = None,
) -> ChannelTestOut:
    """Ask a channel for a few tokens. It takes at most half a minute and costs a fraction of a cent."""
    channel = _found(channel_id)
    model = None if data is None else data.model
    if model is not None and model not in channel.models:
        raise ValidationError({"model": _not_served(model)})
    result = test_channel(channel=channel, model=model, at=timezone.now())
    return ChannelTestOut(
        ok=result.is_ok, model=result.model, latency_ms=result.latency_ms, error=result.error
    )


def channel_etag(channel: Channel) -> str:
    """The version of what edits of a channel change."""
    settings = [
        getattr(channel, name) for name in (*_EDITABLE, "encrypted_key", "encrypted_balance_access", "status")
    ]
    return etag_of(channel.pk, *settings)


_EDITABLE = (
    "name",
    "base_url",
    "models",
    "model_mapping",
    "groups",
    "priority",
    "weight",
    "cost_multiplier",
    "balance_source",
    "balance_minutes",
    "drift_tolerance",
)


def _channels() -> QuerySet[Channel]:
    return Channel.objects.select_related("totals")


def _found(channel_id: int) -> Channel:
    return get_object_or_404(_channels(), pk=channel_id)


def _locked(request: ApiRequest, channel_id: int) -> Channel:
    """The channel, which stays as it is until the transaction ends, if it is the version that was read."""
    channel = get_object_or_404(Channel.objects.select_for_update(), pk=channel_id)
    check_if_match(request, channel_etag(channel))
    return channel


def _described(channels: Any) -> list[ChannelOut]:
    return [ChannelOut.of(funds) for funds in funds_of(channels, at=timezone.now())]


def _settings(values: dict[str, Any]) -> services.ChannelSettings:
    """
    :raises ValidationError: if a model that the channel does not serve is mapped
    """
    strangers = sorted(set(values["model_mapping"]) - set(values["models"]))
    if strangers:
        raise ValidationError({"model_mapping": _not_served(strangers[0])})
    unique = {name: list(dict.fromkeys(values[name])) for name in ("models", "groups")}
    decimals = {name: Decimal(values[name]) for name in ("cost_multiplier", "drift_tolerance")}
    return services.ChannelSettings(**{**values, **unique, **decimals})


def _decimal_text(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _not_served(model: str) -> str:
    return _("“%(model)s” is not among the channel's models.") % {"model": model}
