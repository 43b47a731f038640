"""What providers say is left on the accounts of channels, and how it is read."""

from decimal import Decimal
from typing import Annotated, Literal

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope
from billing.models import BalanceSnapshot, Channel
from billing.services.balances import enter_balance, refresh_balance
from billing.upstream.balances.registry import ADAPTERS
from oneapi_admin.lib.api.fields import Body, Id, PathId, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["channels"])

BalanceSource = Annotated[
    str,
    Field(
        pattern="^(|" + "|".join(ADAPTERS) + ")$",
        description="Where the balance is read from; empty to have it guessed from the base URL.",
        examples=["deepseek"],
    ),
]
_AccessName = Annotated[str, Field(max_length=64)]
_AccessValue = Annotated[str, Field(max_length=4096, pattern=r"^[\x21-\x7e]*$")]
BalanceAccess = Annotated[
    dict[_AccessName, _AccessValue],
    Field(
        max_length=8,
        description="Credentials that read the balance, by the names of the source's fields. They are kept"
        " encrypted, never given back, and never serve calls; those that are left out stay.",
        examples=[{"admin_key": "sk-admin-…"}],
    ),
]
BalanceMinutes = Annotated[int, Field(ge=1, le=1440, description="How often the balance is read.")]
DriftTolerance = Annotated[
    str,
    Field(
        pattern=r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$",
        examples=["5"],
        description="How many percent the provider may take more or less than we metered; a decimal number as"
        " a string.",
    ),
]


class SnapshotOut(Schema):
    """What a provider said an account holds."""

    id: Id
    channel_id: Id
    kind: Literal["balance", "key_budget", "spend"] = Field(
        description="Money on the account, what one key may still spend, or what a period cost so far."
    )
    source: str = Field(description="What it was read from.", examples=["deepseek"])
    remaining: Decimal | None = Field(
        description="In `currency`, as a string; null when the provider did not tell, which is never 0.",
        examples=["12.345678"],
    )
    granted: Decimal | None = Field(description="The part of what remains that was given for nothing.")
    topped_up: Decimal | None = Field(description="The part of what remains that was paid for.")
    limit: Decimal | None = Field(description="In `currency`, as a string; null when unknown or without.")
    used: Decimal | None = Field(description="In `currency`, as a string; null when unknown.")
    period: Literal["", "day", "week", "month", "all"] = Field(
        description="What `used` and `limit` are counted over; empty when unknown."
    )
    currency: str = Field(examples=["USD"])
    is_unlimited: bool
    is_usable: bool | None = Field(description="Whether the provider says that it serves calls.")
    is_estimated: bool = Field(description="Entered by hand, less what calls cost since.")
    resets_at: Time | None
    expires_at: Time | None
    created_at: Time

    @classmethod
    def of(cls, snapshot: BalanceSnapshot) -> "SnapshotOut":
        return cls.model_validate(snapshot, from_attributes=True)


class BalanceIn(Body):
    """What the provider's console says."""

    remaining: str = Field(
        pattern=r"^-?[0-9]{1,8}(\.[0-9]{1,6})?$",
        examples=["25.5"],
        description="What is left, in `currency`; a decimal number as a string.",
    )
    currency: str = Field("USD", pattern="^[A-Z]{3}$")


@router.post(
    "/{channel_id}/refresh-balance",
    response={200: SnapshotOut, **errors(404, 409, 502)},
    operation_id="refreshChannelBalance",
)
@requires(Scope.CHANNELS, is_for_operators=True)
def read_balance(request: ApiRequest, channel_id: PathId) -> SnapshotOut:  # noqa: ARG001
    """Ask the provider what is left, now.

    The newest snapshot comes back. A provider that cannot be asked is 502 and changes nothing; 409 where
    nobody tells, or somebody else is asking at this moment.
    """
    channel = get_object_or_404(Channel, pk=channel_id)
    return SnapshotOut.of(refresh_balance(channel=channel, at=timezone.now())[0])


@router.post(
    "/{channel_id}/balance-snapshots",
    response={201: SnapshotOut, **errors(404, 409)},
    operation_id="enterChannelBalance",
)
@requires(Scope.CHANNELS, is_for_operators=True)
@idempotent(201)
def enter_channel_balance(request: ApiRequest, channel_id: PathId, data: BalanceIn) -> SnapshotOut:
    """Enter a balance that the provider tells no key; what calls cost from now on is taken off.

    409 where the balance is read from the provider.
    """
    snapshot = enter_balance(
        actor=request.auth.user,
        channel=get_object_or_404(Channel, pk=channel_id),
        remaining=Decimal(data.remaining),
        currency=data.currency,
        at=timezone.now(),
    )
    return SnapshotOut.of(snapshot)


@router.get(
    "/{channel_id}/balance-snapshots",
    response={200: PageOut[SnapshotOut], **errors(404)},
    operation_id="listChannelBalanceSnapshots",
)
@requires(Scope.CHANNELS, is_read=True, is_for_operators=True)
def list_snapshots(request: ApiRequest, channel_id: PathId, page_query: Query[PageQuery]) -> object:  # noqa: ARG001
    """What the provider said of a channel's account, newest first."""
    channel = get_object_or_404(Channel.objects.only("pk"), pk=channel_id)
    return page(BalanceSnapshot.objects.filter(channel=channel), page_query, SnapshotOut.of)
