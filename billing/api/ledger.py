"""Every movement of quota that the caller may see, and taking one back."""

from typing import Annotated, Literal

from django.shortcuts import get_object_or_404
from ninja import Query, Router
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import Answer, idempotent, ledger_key
from accounts.models import Scope
from billing.api.approvals import ProposalOut, entry_or_proposal
from billing.api.schemas import EntryOut
from billing.queries.ledger import visible_entries
from billing.services.acts import Reversal
from oneapi_admin.lib.api.fields import Body, Id, Memo, Moment, PathId
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["ledger"])
Kind = Literal[
    "top_up", "redemption", "usage", "refund", "adjustment", "grant", "expiry", "import", "reversal"
]


class EntryListQuery(PageQuery):
    user: Id | None = Field(None, description="The id of whose quota was moved; operators only.")
    kind: Kind | None = None
    since: Annotated[Moment | None, Field(description="From this moment on.")] = None
    until: Annotated[Moment | None, Field(description="Before this moment.")] = None


class ReversalIn(Body):
    memo: Memo
    allow_partial: bool = Field(
        False, description="Take what is left, where a part is spent or held; the rest is given up."
    )


@router.get("", response=PageOut[EntryOut], operation_id="listLedgerEntries")
@requires(Scope.TOPUP, is_read=True)
def list_entries(request: ApiRequest, page_query: Query[EntryListQuery]) -> object:
    """Movements, newest first: everybody's below root for operators, one's own for users."""
    actor = request.auth.user
    entries = visible_entries(actor) if actor.is_operator else visible_entries(actor).filter(account=actor.pk)
    if page_query.user is not None:
        entries = entries.filter(account=page_query.user)
    if page_query.kind is not None:
        entries = entries.filter(kind=page_query.kind)
    if page_query.since is not None:
        entries = entries.filter(created_at__gte=page_query.since)
    if page_query.until is not None:
        entries = entries.filter(created_at__lt=page_query.until)
    return page(entries, page_query, EntryOut.of)


@router.post(
    "/{entry_id}/reverse",
    response={201: EntryOut, 202: ProposalOut, **errors(404, 409)},
    operation_id="reverseLedgerEntry",
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(201)
def reverse_entry(request: ApiRequest, entry_id: PathId, data: ReversalIn) -> Answer:
    """Take a movement back by another that names it; once. Nothing is taken that is spent or held.

    Where another operator has to approve it, the answer is 202 and nothing has moved yet.
    """
    act = Reversal(
        entry_id=get_object_or_404(visible_entries(request.auth.user), pk=entry_id).pk,
        memo=data.memo,
        allow_partial=data.allow_partial,
        idempotency_key=ledger_key(request),
    )
    return entry_or_proposal(request, act)
