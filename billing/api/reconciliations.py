"""What providers took against what was metered, for programs."""

from decimal import Decimal
from typing import Annotated, Literal

from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.models import Scope
from billing.models import Reconciliation
from billing.queries import reconciliations as queries
from billing.services.reconciling import percent_of
from oneapi_admin.lib.api.fields import Id, Moment, PathId, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["reconciliations"])
Status = Literal["ok", "drift", "recharged", "no_rate", "unknown"]


class ReconciliationOut(Schema):
    """One interval between two balances of a channel. Amounts are in `currency`, as strings."""

    id: Id
    channel_id: Id
    kind: Literal["balance", "key_budget", "spend"]
    currency: str = Field(examples=["USD"])
    first_snapshot_id: Id
    last_snapshot_id: Id
    began_at: Time
    ended_at: Time
    taken: Decimal | None = Field(description="What the provider took; null when it cannot be told.")
    recharged: Decimal = Field(description="What was paid in.")
    metered: Decimal | None = Field(
        description="What our calls cost by our price book; null without an exchange rate."
    )
    drift: Decimal | None = Field(
        description="`taken` less `metered`: above 0 where the provider took more than we know of."
    )
    drift_percent: Decimal | None = Field(description="Of the larger of both.")
    tolerance_percent: Decimal
    status: Status

    @classmethod
    def of(cls, row: Reconciliation) -> "ReconciliationOut":
        names = (
            *("id", "channel_id", "kind", "currency", "began_at", "ended_at"),
            *("taken", "recharged", "metered", "drift", "status"),
        )
        return cls(
            first_snapshot_id=row.first_id,
            last_snapshot_id=row.last_id,
            drift_percent=percent_of(row),
            tolerance_percent=row.tolerance,
            **{name: getattr(row, name) for name in names},
        )


class CauseOut(Schema):
    """What a drift may come from."""

    code: str = Field(examples=["calls_outside"])
    text: str = Field(description="In the caller's language.")


class ReconciliationDetailOut(ReconciliationOut):
    """An interval with its calls and what its drift may come from, the likeliest first."""

    calls: int = Field(ge=0)
    calls_without_usage: int = Field(ge=0)
    cached_tokens: int = Field(ge=0)
    models_without_list_price: list[str]
    calls_in_flight: int = Field(ge=0, description="They began before the end and ended after it.")
    causes: list[CauseOut]


class ReconciliationListQuery(PageQuery):
    channel: Id | None = None
    status: Status | None = None
    since: Annotated[Moment | None, Field(description="That ended at this moment or later.")] = None
    until: Annotated[Moment | None, Field(description="That ended before this moment.")] = None


@router.get("", response=PageOut[ReconciliationOut], operation_id="listReconciliations")
@requires(Scope.CHANNELS, is_read=True, is_for_operators=True)
def list_reconciliations(request: ApiRequest, page_query: Query[ReconciliationListQuery]) -> object:  # noqa: ARG001
    """Intervals between balances, newest first."""
    found = queries.reconciliations(
        channel_id=page_query.channel,
        status=page_query.status or "",
        since=page_query.since,
        until=page_query.until,
    )
    return page(found, page_query, ReconciliationOut.of)


@router.get(
    "/{reconciliation_id}",
    response={200: ReconciliationDetailOut, **errors(404)},
    operation_id="getReconciliation",
)
@requires(Scope.CHANNELS, is_read=True, is_for_operators=True)
def get_reconciliation(request: ApiRequest, reconciliation_id: PathId) -> ReconciliationDetailOut:  # noqa: ARG001
    """One interval, its calls, and what its drift may come from."""
    row = get_object_or_404(Reconciliation, pk=reconciliation_id)
    calls = queries.describe_calls(row)
    return ReconciliationDetailOut(
        calls=calls.count,
        calls_without_usage=calls.estimated,
        cached_tokens=calls.cached_tokens,
        models_without_list_price=list(calls.unlisted),
        calls_in_flight=calls.in_flight,
        causes=[CauseOut(code=cause, text=str(cause.label)) for cause in queries.causes(row, calls)],
        **ReconciliationOut.of(row).model_dump(),
    )
