"""Calls, and their sums: one's own, and for operators everybody's below root."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Path, Query, Router, Schema
from ninja.errors import ValidationError
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import Answer, idempotent, ledger_key
from accounts.models import Scope, User
from accounts.services.permissions import PermissionDeniedError
from billing.api.approvals import ProposalOut, entry_or_proposal
from billing.api.schemas import EntryOut, Usd
from billing.models import UsageRecord
from billing.queries import usage as queries
from billing.services.acts import Refund
from oneapi_admin.lib.api.fields import MAX_ID, Body, Id, Memo, Moment, PositiveQuota, Quota, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["usage"])
CallStatusName = Literal["ok", "disconnected", "interrupted", "failed"]
ModelName = Annotated[Text, Field(min_length=1, max_length=128)]
Count = Annotated[int, Field(ge=0)]
CallName = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$", description="The call's `id` or `request_id`.")
]
DEFAULT_RANGE = timedelta(days=30)
MAX_RANGE = timedelta(days=366)
_FOR_OPERATORS = ("hour", "channel", "user")


class CallOut(Schema):
    """One call of `/v1`. Names are kept as they were when it was made."""

    id: Id
    request_id: str = Field(description="As the answer's `X-Oneapi-Request-Id` had it.")
    user_id: Id
    username: str
    token_id: Id
    token_name: str
    channel_id: Id | None = Field(description="Who served it; null for those who are no operators.")
    channel_name: str | None = Field(description="As it was then; null for those who are no operators.")
    model: str = Field(description="As the caller asked for it.")
    served_model: str = Field(description="As the provider was asked for it.")
    prompt_tokens: Count
    cached_tokens: Count = Field(description="How many of the prompt's tokens the provider had cached.")
    completion_tokens: Count
    quota: Quota = Field(description="What was charged, in quota units.")
    refunded_quota: Count = Field(description="What of it was given back, in quota units.")
    estimate: Quota = Field(description="What was reserved before the call, in quota units.")
    upstream_cost_usd: Usd | None = Field(
        description="What the provider takes by our price book, as a string; null for those who are no"
        " operators."
    )
    price_version: str = Field(examples=["operator:7", "catalogue:2026-03-01"])
    group_multiplier: str = Field(examples=["1"])
    usage_source: Literal["upstream", "estimated", "none"] = Field(description="Who counted the tokens.")
    status: CallStatusName
    http_status: int
    error_code: str = Field(description="Empty when it was completed.")
    is_stream: bool
    first_byte_ms: Count
    duration_ms: Count
    ledger_entry_id: Id | None = Field(description="The movement that charged it; null when it was free.")
    created_at: Time

    @classmethod
    def of(cls, call: UsageRecord, *, viewer: User) -> "CallOut":
        columns = (
            *("id", "request_id", "username", "token_id", "token_name", "model", "served_model"),
            "refunded_quota",
            *("prompt_tokens", "cached_tokens", "completion_tokens", "quota", "estimate", "price_version"),
            *("usage_source", "status", "http_status", "error_code", "is_stream", "first_byte_ms"),
            *("duration_ms", "ledger_entry_id", "created_at"),
        )
        is_operator = viewer.is_operator
        return cls(
            user_id=call.account_id,
            channel_id=call.channel_id if is_operator else None,
            channel_name=call.channel_name if is_operator else None,
            upstream_cost_usd=Decimal(call.upstream_cost).scaleb(-9) if is_operator else None,
            group_multiplier=f"{call.group_multiplier.normalize():f}",
            **{name: getattr(call, name) for name in columns},
        )


class CallListQuery(PageQuery):
    user: Id | None = Field(None, description="The id of who called; operators only.")
    token: Id | None = Field(None, description="The id of the token; also of a deleted one.")
    model: ModelName | None = Field(None, description="As the caller asked for it.")
    status: CallStatusName | None = None
    since: Moment | None = Field(None, description="From this moment on.")
    until: Moment | None = Field(None, description="Before this moment.")
    request_id: Annotated[Text, Field(min_length=1, max_length=64)] | None = None


_LOOKUPS = {
    "user": "account_id",
    "token": "token_id",
    "model": "model",
    "status": "status",
    "since": "created_at__gte",
    "until": "created_at__lt",
    "request_id": "request_id",
}


@router.get("", response=PageOut[CallOut], operation_id="listCalls")
@requires(Scope.READ)
def list_calls(request: ApiRequest, page_query: Query[CallListQuery]) -> object:
    """Calls, newest first: everybody's below root for operators, one's own for users."""
    actor = request.auth.user
    values = page_query.model_dump(exclude_none=True, include=set(_LOOKUPS))
    wanted = {_LOOKUPS[name]: value for name, value in values.items()}
    calls = queries.visible_usage(actor).filter(**wanted)
    return page(calls, page_query, lambda call: CallOut.of(call, viewer=actor))


class RefundIn(Body):
    quota: PositiveQuota | None = Field(
        None, description="In quota units; all that was not refunded before, by default."
    )
    memo: Memo


@router.post(
    "/{call}/refund",
    response={201: EntryOut, 202: ProposalOut, **errors(404, 409)},
    operation_id="refundCall",
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(201)
def refund_call(request: ApiRequest, call: CallName, data: RefundIn) -> Answer:
    """Give back what a call was charged, or a part of it; never more than that in sum.

    Where another operator has to approve it, the answer is 202 and nothing has moved yet.
    """
    is_id = call.isdigit() and len(call) <= len(str(MAX_ID)) and int(call) <= MAX_ID
    wanted = {"pk" if is_id else "request_id": call}
    calls = queries.visible_usage(request.auth.user).select_related("account__user")
    act = Refund(
        call_id=get_object_or_404(calls, **wanted).pk,
        quota=data.quota,
        memo=data.memo,
        idempotency_key=ledger_key(request),
    )
    return entry_or_proposal(request, act)


class SummaryQuery(Schema):
    group_by: Literal["day", "hour", "model", "token", "channel", "user"] = Field(
        description="`hour`, `channel` and `user` are for operators."
    )
    since: Moment | None = Field(None, description="30 days before `until` by default.")
    until: Moment | None = Field(None, description="At most 366 days after `since`; now by default.")
    user: Id | None = Field(None, description="The id of who called; not with `hour` and `channel`.")
    token: Id | None = Field(None, description="The id of the token; not with `hour` and `channel`.")
    model: ModelName | None = None


class UsageSums(Schema):
    request_count: Count
    failure_count: Count = Field(description="How many of them failed at the provider.")
    prompt_tokens: Count
    cached_tokens: Count
    completion_tokens: Count
    quota: Count = Field(description="What was charged, in quota units.")


class UsageGroupOut(UsageSums):
    key: str = Field(description="The UTC day or hour, the model, or the id.", examples=["2026-03-02"])
    label: str | None = Field(description="For people: the key or the name; null once deleted.")


class SummaryOut(Schema):
    """Sums over whole UTC days, or hours for `hour` and `channel`."""

    since: Time = Field(description="The beginning of the first day or hour that was summed.")
    until: Time = Field(description="The end of the last one.")
    items: list[UsageGroupOut] = Field(
        description="By time, oldest first, else those that cost most first; at most 10,000."
    )
    is_complete: bool = Field(description="False when there are more items than these.")
    totals: UsageSums = Field(description="Over all items, also those that are left out.")


@router.get("/summary", response=SummaryOut, operation_id="summarizeUsage")
@requires(Scope.READ)
def summarize(request: ApiRequest, data: Query[SummaryQuery]) -> SummaryOut:
    """Sums of calls: everybody's below root for operators, one's own for users. Hours and channels are
    summed over everybody. Days and hours that `since` and `until` touch are taken whole.
    """
    actor = request.auth.user
    if data.group_by in _FOR_OPERATORS and not actor.is_operator:
        raise PermissionDeniedError
    filters = _filters(data)
    found = queries.summary(actor=actor, filters=filters)
    items = [UsageGroupOut(key=group.key, label=group.label, **group.sums) for group in found.groups]
    return SummaryOut(
        since=filters.first,
        until=filters.end,
        items=items,
        is_complete=found.is_complete,
        totals=UsageSums(**found.totals),
    )


def _filters(data: SummaryQuery) -> queries.SummaryFilters:
    """
    :raises ValidationError: if the times make no sense, or the sums asked for do not know users and tokens
    """
    until = data.until or timezone.now()
    since = data.since or until - DEFAULT_RANGE
    if since >= until:
        raise _invalid("until", _("“until” has to be after “since”."))
    if until - since > MAX_RANGE:
        raise _invalid("since", _("At most %(days)s days can be summed at once.") % {"days": MAX_RANGE.days})
    equal = {
        _LOOKUPS[name]: value
        for name, value in data.model_dump(exclude_none=True, include={"user", "token", "model"}).items()
    }
    for name in ("user", "token"):
        if data.group_by in queries.HOURLY and _LOOKUPS[name] in equal:
            raise _invalid(name, _("Sums by hour and by channel are over everybody."))
    return queries.SummaryFilters(group_by=data.group_by, since=since, until=until, equal=equal)


def _invalid(name: str, message: str) -> ValidationError:
    return ValidationError([{"type": "value_error", "loc": ("query", name), "msg": message}])
