"""Redeeming codes, and who redeemed them."""

from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent, is_answered
from accounts.models import Scope
from billing.api.schemas import EntryOut
from oneapi_admin.lib.api.fields import Body, Id, Moment, PositiveQuota, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut
from oneapi_admin.lib.pagination import page_by_time
from redemption import queries
from redemption.api.codes import CODE_EXAMPLE
from redemption.models import Redemption
from redemption.services import attempts, redeeming

router = Router(tags=["redemptions"])


class RedemptionIn(Body):
    code: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=128,
            examples=[CODE_EXAMPLE],
            description="As it was given: case, spaces and dashes do not matter.",
        ),
    ]


class RedemptionOut(Schema):
    """One use of a code."""

    id: Id
    code_id: Id
    code_hint: str
    batch_id: Id
    number: int = Field(ge=1, description="Which use of the code it was.")
    user_id: Id
    quota: PositiveQuota
    entry_id: Id
    reversed_by_id: Id | None = Field(description="The entry that took it back.")
    created_at: Time

    @classmethod
    def of(cls, redemption: Redemption) -> "RedemptionOut":
        """
        :param redemption: from ``redemption.queries.redemptions``
        """
        return cls(
            id=redemption.pk,
            code_id=redemption.code_id,
            code_hint=redemption.code.hint,
            batch_id=redemption.batch_id,
            number=redemption.number,
            user_id=redemption.user_id,
            quota=redemption.batch.quota,
            entry_id=redemption.entry_id,
            reversed_by_id=redemption.reversal_id,
            created_at=redemption.created_at,
        )


class RedemptionListQuery(Schema):
    """What of the redemptions, newest first."""

    limit: int = Field(50, ge=1, le=200, description="How many items.")
    cursor: Annotated[
        str | None,
        Field(pattern=r"^[0-9]{1,16}-[0-9]{1,18}$", description="The `next_cursor` of the page before."),
    ] = None
    user: Id | None = Field(
        None, description="The id of whoever redeemed; others than oneself: operators only."
    )
    batch: Id | None = None
    since: Annotated[Moment | None, Field(description="From this moment on.")] = None
    until: Annotated[Moment | None, Field(description="Before this moment.")] = None


@router.get("", response=PageOut[RedemptionOut], operation_id="listRedemptions")
@requires(Scope.REDEEM, is_read=True)
def list_redemptions(request: ApiRequest, page_query: Query[RedemptionListQuery]) -> object:
    """Who redeemed which code, newest first: one's own, or for operators with `codes` or `read` all."""
    actor = request.auth.user
    found = queries.redemptions(
        actor, batch_id=page_query.batch, since=page_query.since, until=page_query.until
    )
    if not (actor.is_operator and request.auth.scopes & {Scope.READ, Scope.CODES}):
        found = found.filter(user=actor)
    if page_query.user is not None:
        found = found.filter(user=page_query.user)
    shown = page_by_time(found, field="created_at", cursor=page_query.cursor, size=page_query.limit)
    return {"items": [RedemptionOut.of(row) for row in shown.items], "next_cursor": shown.next_cursor}


def _counted(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Count refusals around an operation, outside its transaction; not where it only repeats its answer."""

    @wraps(view)
    def run(request: ApiRequest, *args: Any, **values: Any) -> HttpResponse:
        if is_answered(request):
            return view(request, *args, **values)
        address = request.META.get("REMOTE_ADDR")
        with attempts.counted(user=request.auth.user, address=address, at=timezone.now()):
            return view(request, *args, **values)

    return run


@router.post("", response={201: EntryOut, **errors(409)}, operation_id="redeemCode")
@requires(Scope.REDEEM)
@_counted
@idempotent(201)
def redeem(request: ApiRequest, data: RedemptionIn) -> EntryOut:
    """Spend a code: its quota is added to the caller's. Every refusal of a code is the same one.

    After too many refusals no code is looked at for a while: `too_many_attempts`, with `Retry-After`.
    """
    entry = redeeming.redeem(code=data.code, user=request.auth.user, at=timezone.now())
    return EntryOut.of(entry)
