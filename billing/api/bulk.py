"""Many top-ups at once and undoing them, with a look at what would happen first."""

from typing import Annotated

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import Answer, idempotent, ledger_key
from accounts.models import Scope
from billing.api.approvals import ProposalOut, proposed
from billing.api.schemas import Amount
from billing.models import BulkTopUp, LedgerEntry, Proposal
from billing.services.acts import BulkUndo, TopUpMany
from billing.services.approvals import submit
from billing.services.bulk import TopUp, preview_many
from billing.services.bulk_undo import Undone, preview_undo
from oneapi_admin.lib.api.fields import Body, Id, Memo, PathId, Quota, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page
from oneapi_admin.lib.errors import DomainError

router = Router(tags=["bulk"])
runs_router = Router(tags=["bulk"])
MAX_ITEMS = 1000


class TopUpItemIn(Amount):
    """Quota units or US dollars, one of the two, for one user."""

    user_id: Id
    memo: Memo = ""


class BulkTopUpIn(Body):
    items: Annotated[list[TopUpItemIn], Field(min_length=1, max_length=MAX_ITEMS)]
    memo: Memo = Field("", description="Of the whole, and of items without one of their own.")


class TopUpItemOut(Schema):
    """What became of one item: `entry_id` and `balance_after`, or `code` and `detail` of the refusal."""

    user_id: Id
    is_done: bool
    entry_id: Id | None = Field(description="Null when refused, and in a preview.")
    amount: Quota
    balance_after: Quota | None
    code: str | None = Field(description="Why it was refused; stable.")
    detail: str | None


class BulkTopUpOut(Schema):
    is_preview: bool
    bulk_top_up_id: Id | None = Field(
        description="By which it can be undone; null in a preview, and when nothing was given."
    )
    done_count: int = Field(ge=0)
    refused_count: int = Field(ge=0)
    total: int = Field(description="Of what was given, in quota units.")
    items: list[TopUpItemOut] = Field(description="In the order of the request.")


@router.post("/top-ups", response={200: BulkTopUpOut, 202: ProposalOut}, operation_id="topUpUsers")
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(200)
def top_up_users(
    request: ApiRequest,
    data: BulkTopUpIn,
    preview: Annotated[bool, Query(description="Only say what would happen.")] = False,  # noqa: FBT002
) -> Answer:
    """Give many users quota. An item that is refused does not hinder the others; each is reported.

    Where another operator has to approve it, the answer is 202 and nothing has moved yet.
    """
    actor, now, key = request.auth.user, timezone.now(), ledger_key(request)
    wanted = [
        TopUp(
            user_id=item.user_id,
            quota=item.amount(),
            memo=item.memo,
            idempotency_key=None if preview else key and f"{key}:{number}",
        )
        for number, item in enumerate(data.items)
    ]
    if preview:
        looked = preview_many(actor=actor, items=wanted, memo=data.memo, at=now)
        return _bulk(wanted, looked, is_preview=True)
    act = TopUpMany(items=wanted, memo=data.memo, idempotency_key=key)
    done = submit(actor=actor, act=act, at=now)
    return proposed(request, done) if isinstance(done, Proposal) else _bulk(wanted, done, is_preview=False)


def _bulk(wanted: list[TopUp], results: list[LedgerEntry | DomainError], *, is_preview: bool) -> BulkTopUpOut:
    items = [_item(item, result, is_preview) for item, result in zip(wanted, results, strict=True)]
    done = [item for item in items if item.is_done]
    references = {result.reference for result in results if isinstance(result, LedgerEntry)}
    runs = {BulkTopUp.id_of(reference) for reference in references}
    return BulkTopUpOut(
        is_preview=is_preview,
        bulk_top_up_id=None if is_preview else next(iter(runs), None),
        done_count=len(done),
        refused_count=len(items) - len(done),
        total=sum(item.amount for item in done),
        items=items,
    )


def _item(item: TopUp, result: LedgerEntry | DomainError, preview: bool) -> TopUpItemOut:  # noqa: FBT001
    is_done = isinstance(result, LedgerEntry)
    return TopUpItemOut(
        user_id=item.user_id,
        is_done=is_done,
        entry_id=result.pk if isinstance(result, LedgerEntry) and not preview else None,
        amount=item.quota,
        balance_after=result.balance_after if isinstance(result, LedgerEntry) else None,
        code=None if isinstance(result, LedgerEntry) else result.code,
        detail=None if isinstance(result, LedgerEntry) else str(result),
    )


class BulkRunOut(Schema):
    """One bulk top-up: what was given together, and what of it was taken back."""

    id: Id
    actor_id: Id
    memo: str
    count: int = Field(ge=0, description="How many entries it made.")
    total: int = Field(ge=0, description="Of what was given, in quota units.")
    reversed_count: int = Field(ge=0, description="How many of the entries were taken back.")
    reversed_total: int = Field(ge=0, description="Of what was taken back, in quota units.")
    created_at: Time

    @classmethod
    def of(cls, run: BulkTopUp) -> "BulkRunOut":
        """
        :param run: with its reversals
        """
        return cls.model_validate(run, from_attributes=True)


class BulkUndoIn(Body):
    memo: Memo
    allow_partial: bool = Field(
        False, description="Take what is left, where a part is spent or held; the rest is given up."
    )


class UndoneItemOut(Schema):
    """What became of one entry: `reversal_id`, or `code` and `detail` of the refusal."""

    entry_id: Id
    user_id: Id
    is_done: bool
    reversal_id: Id | None = Field(description="Null when refused, and in a preview.")
    amount: int = Field(ge=0, description="What is taken back, in quota units.")
    shortfall: int = Field(ge=0, description="What is spent or held already, in quota units.")
    code: str | None = Field(description="Why it was refused; stable.")
    detail: str | None

    @classmethod
    def of(cls, item: Undone) -> "UndoneItemOut":
        refusal = item.refusal
        return cls(
            entry_id=item.entry.pk,
            user_id=item.entry.account_id,
            is_done=refusal is None,
            reversal_id=item.reversal_id,
            amount=item.amount,
            shortfall=item.shortfall,
            code=None if refusal is None else refusal.code,
            detail=None if refusal is None else str(refusal),
        )


class BulkUndoOut(Schema):
    is_preview: bool
    done_count: int = Field(ge=0)
    refused_count: int = Field(ge=0)
    total: int = Field(ge=0, description="Of what is taken back, in quota units.")
    shortfall: int = Field(ge=0, description="Of what is spent or held already, in quota units.")
    items: list[UndoneItemOut] = Field(description="By user.")


@runs_router.get("", response=PageOut[BulkRunOut], operation_id="listBulkTopUps")
@requires(Scope.TOPUP, is_read=True, is_for_operators=True)
def list_bulk_top_ups(request: ApiRequest, page_query: Query[PageQuery]) -> object:
    """The bulk top-ups that the caller may see, newest first."""
    return page(BulkTopUp.objects.visible_to(request.auth.user).with_reversals(), page_query, BulkRunOut.of)


@runs_router.post(
    "/{bulk_top_up_id}/undo",
    response={200: BulkUndoOut, 202: ProposalOut, **errors(404, 409)},
    operation_id="undoBulkTopUp",
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(200)
def undo_bulk_top_up(
    request: ApiRequest,
    bulk_top_up_id: PathId,
    data: BulkUndoIn,
    preview: Annotated[bool, Query(description="Only say what would happen.")] = False,  # noqa: FBT002
) -> Answer:
    """Take back what a bulk top-up gave, entry by entry; each is reported. Safe to repeat.

    Where another operator has to approve it, the answer is 202 and nothing has moved yet.
    """
    actor = request.auth.user
    run = get_object_or_404(BulkTopUp.objects.visible_to(actor), pk=bulk_top_up_id)
    if preview:
        looked = preview_undo(actor=actor, run=run, allow_partial=data.allow_partial)
        return _undone(looked, is_preview=True)
    act = BulkUndo(
        bulk_top_up_id=run.pk,
        memo=data.memo,
        allow_partial=data.allow_partial,
        idempotency_key=ledger_key(request),
    )
    done = submit(actor=actor, act=act, at=timezone.now())
    return proposed(request, done) if isinstance(done, Proposal) else _undone(done, is_preview=False)


def _undone(results: list[Undone], *, is_preview: bool) -> BulkUndoOut:
    items = [UndoneItemOut.of(result) for result in results]
    done = [item for item in items if item.is_done]
    return BulkUndoOut(
        is_preview=is_preview,
        done_count=len(done),
        refused_count=len(items) - len(done),
        total=sum(item.amount for item in items),
        shortfall=sum(item.shortfall for item in items),
        items=items,
    )
