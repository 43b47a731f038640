"""What providers took against what was metered, for programs."""

from decimal import Decimal
from typing import Annotated, Literal

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.models import Scope
from billing.models import Reconciliation
from billing.queries import reconciliations as queries
from billing.services.reconciling import percent_of
from billing.services.usage_reports import Compared, compare_usage
from billing.upstream.usage_reports.report import Tokens
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


class TokensOut(Schema):
    """What calls used, on one side."""

    requests: int | None = Field(ge=0, description="Null where the provider does not tell.")
    prompt_tokens: int = Field(ge=0, description="All of the input, the cached part as well.")
    cached_tokens: int | None = Field(
        ge=0, description="The part that was read from a cache; null where the provider does not tell."
    )
    completion_tokens: int = Field(ge=0)

    @classmethod
    def of(cls, tokens: Tokens) -> "TokensOut":
        return cls.model_validate(tokens, from_attributes=True)


class ModelUsageOut(Schema):
    """A model on both sides."""

    model: str = Field(description="Without the date of its edition.", examples=["gpt-4o"])
    names: list[str] = Field(
        description="What either side calls it.", examples=[["gpt-4o", "gpt-4o-2024-08-06"]]
    )
    ours: TokensOut
    provider: TokensOut
    difference: int = Field(description="In tokens; above 0 where the provider counts more.")

    @classmethod
    def of(cls, one: Compared) -> "ModelUsageOut":
        return cls(
            model=one.model,
            names=list(one.names),
            ours=TokensOut.of(one.ours),
            provider=TokensOut.of(one.theirs),
            difference=one.difference,
        )


class FindingOut(Schema):
    """What follows from a comparison."""

    code: str = Field(examples=["price"])
    text: str = Field(description="In the caller's language.")


class ProviderUsageOut(Schema):
    """The tokens that the provider counted around an interval, and ours of the same time."""

    since: Time = Field(description="The beginning of the interval, or of the minute or hour that it is in.")
    until: Time = Field(description="The first moment that does not belong to it.")
    models: list[ModelUsageOut] = Field(description="Those with the largest differences first.")
    ours: TokensOut
    provider: TokensOut
    difference: int = Field(description="In tokens; above 0 where the provider counts more.")
    is_recent: bool = Field(description="Whether the provider's report may still lack some of it.")
    finding: FindingOut


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


@router.get(
    "/{reconciliation_id}/provider-usage",
    response={200: ProviderUsageOut, **errors(404, 409, 502)},
    operation_id="getProviderUsage",
)
@requires(Scope.CHANNELS, is_read=True, is_for_operators=True)
def get_provider_usage(request: ApiRequest, reconciliation_id: PathId) -> ProviderUsageOut:  # noqa: ARG001
    """Ask the provider how many tokens it counted around an interval; nothing is kept.

    Both sides are counted over whole minutes, or whole hours where the interval is longer than six. A
    provider that cannot be asked is 502; 409 where it tells nobody.
    """
    row = get_object_or_404(Reconciliation.objects.select_related("channel"), pk=reconciliation_id)
    found = compare_usage(row=row, at=timezone.now())
    return ProviderUsageOut(
        since=found.span.since,
        until=found.span.until,
        models=[ModelUsageOut.of(one) for one in found.models],
        ours=TokensOut.of(found.total.ours),
        provider=TokensOut.of(found.total.theirs),
        difference=found.total.difference,
        is_recent=found.is_recent,
        finding=FindingOut(code=found.finding, text=str(found.finding.label)),
    )
