"""Movements that wait for a second operator, and the amount above which they do."""

from typing import Annotated, Any, Literal

from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import Answer, idempotent
from accounts.models import Scope
from billing.api.schemas import EntryOut
from billing.models import LedgerEntry, Proposal, ProposalKind, ProposalStatus
from billing.queries.approvals import visible_proposals
from billing.services import approvals
from billing.services.acts import Act
from billing.services.approval_settings import approval_threshold, set_approval_threshold
from oneapi_admin.lib.api.fields import Body, Id, PathId, PositiveQuota, Text, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["approvals"])
settings_router = Router(tags=["approvals"])


class ProposalOut(Schema):
    """A movement that another operator has to approve before anything moves."""

    id: Id
    kind: ProposalKind
    status: ProposalStatus
    proposer_id: Id
    user_id: Id | None = Field(description="Whose quota it is about; null for what is about many.")
    amount: int = Field(description="What it would have moved when it was proposed, in quota units.")
    entry_count: int = Field(ge=1, description="How many entries it would have made.")
    memo: str
    request: dict[str, Any] = Field(
        description="What was asked for, such as a reversal's `entry_id` or a bulk top-up's `items`."
    )
    has_approver: bool = Field(description="Whether there is another operator who could approve it.")
    decided_by_id: Id | None
    decided_at: Time | None
    note: str = Field(description="Why it was rejected.")
    entry_ids: list[Id] = Field(description="What its approval wrote.")
    created_at: Time
    expires_at: Time

    @classmethod
    def of(cls, proposal: Proposal) -> "ProposalOut":
        """
        :param proposal: from ``billing.queries.approvals``, with its ``approved_entries``
        """
        decision = getattr(proposal, "decision", None)
        columns = ("id", "proposer_id", "user_id", "amount", "entry_count", "memo")
        return cls(
            kind=ProposalKind(proposal.kind),
            status=proposal.status,
            request=_without_keys(proposal.request),
            has_approver=proposal.has_approver,
            decided_by_id=None if decision is None else decision.actor_id,
            decided_at=None if decision is None else decision.created_at,
            note="" if decision is None else decision.note,
            entry_ids=[approved.entry_id for approved in proposal.approved_entries.all()],
            created_at=proposal.created_at,
            expires_at=proposal.expires_at,
            **{name: getattr(proposal, name) for name in columns},
        )


class ProposalListQuery(PageQuery):
    status: Literal["open", "closed"] | None = Field(
        None, description="`open` for what waits, `closed` for what was decided or has expired."
    )


class RejectionIn(Body):
    note: Annotated[Text, Field(max_length=255)] = Field("", description="Why.")


class ApprovalSettingsOut(Schema):
    threshold: int | None = Field(
        ge=1, description="Movements of more quota units than this need a second operator; null: none do."
    )


class ApprovalSettingsIn(Body):
    threshold: PositiveQuota | None


def entry_or_proposal(request: ApiRequest, act: Act[LedgerEntry]) -> Answer:
    """The entry that an act makes, or the proposal that it becomes."""
    done = approvals.submit(actor=request.auth.user, act=act, at=timezone.now())
    return proposed(request, done) if isinstance(done, Proposal) else EntryOut.of(done)


def proposed(request: ApiRequest, proposal: Proposal) -> tuple[int, ProposalOut]:
    """The answer where nothing was moved yet."""
    return 202, _out(request, proposal.pk)


@router.get("", response=PageOut[ProposalOut], operation_id="listApprovals")
@requires(Scope.TOPUP, is_read=True, is_for_operators=True)
def list_approvals(request: ApiRequest, page_query: Query[ProposalListQuery]) -> object:
    """What was proposed, newest first; below root only what is about ordinary users."""
    proposals = visible_proposals(request.auth.user).prefetch_related("approved_entries")
    if page_query.status == "open":
        proposals = proposals.open(timezone.now())
    if page_query.status == "closed":
        proposals = proposals.closed(timezone.now())
    return page(proposals, page_query, ProposalOut.of)


@router.get("/{approval_id}", response={200: ProposalOut, **errors(404)}, operation_id="getApproval")
@requires(Scope.TOPUP, is_read=True, is_for_operators=True)
def get_approval(request: ApiRequest, approval_id: PathId) -> ProposalOut:
    """What was proposed, and what became of it."""
    return _out(request, approval_id)


@router.post(
    "/{approval_id}/approve", response={200: ProposalOut, **errors(404, 409)}, operation_id="approveProposal"
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(200)
def approve(request: ApiRequest, approval_id: PathId) -> ProposalOut:
    """Do what another operator proposed, in their name. Where that is refused now, it waits on."""
    approvals.approve(actor=request.auth.user, proposal=_visible(request, approval_id), at=timezone.now())
    return _out(request, approval_id)


@router.post(
    "/{approval_id}/reject", response={200: ProposalOut, **errors(404, 409)}, operation_id="rejectProposal"
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(200)
def reject(request: ApiRequest, approval_id: PathId, data: RejectionIn) -> ProposalOut:
    """Decide that what another operator proposed is not done."""
    approvals.reject(
        actor=request.auth.user,
        proposal=_visible(request, approval_id),
        note=data.note,
        at=timezone.now(),
    )
    return _out(request, approval_id)


@router.post(
    "/{approval_id}/withdraw",
    response={200: ProposalOut, **errors(404, 409)},
    operation_id="withdrawProposal",
)
@requires(Scope.TOPUP, is_for_operators=True)
@idempotent(200)
def withdraw(request: ApiRequest, approval_id: PathId) -> ProposalOut:
    """Take back what the caller has proposed."""
    approvals.withdraw(actor=request.auth.user, proposal=_visible(request, approval_id), at=timezone.now())
    return _out(request, approval_id)


@settings_router.get("", response=ApprovalSettingsOut, operation_id="getApprovalSettings")
@requires(Scope.ADMIN, is_read=True, is_for_operators=True)
def get_approval_settings(request: ApiRequest) -> ApprovalSettingsOut:  # noqa: ARG001  ninja gives it
    """Above which amount movements need a second operator."""
    return ApprovalSettingsOut(threshold=approval_threshold())


@settings_router.put("", response=ApprovalSettingsOut, operation_id="setApprovalSettings")
@requires(Scope.ADMIN, is_for_root=True)
def set_approval_settings(request: ApiRequest, data: ApprovalSettingsIn) -> ApprovalSettingsOut:
    """Set that amount, or null to let every operator move any amount alone."""
    set_approval_threshold(actor=request.auth.user, threshold=data.threshold)
    return ApprovalSettingsOut(threshold=data.threshold)


def _visible(request: ApiRequest, approval_id: int) -> Proposal:
    return get_object_or_404(visible_proposals(request.auth.user), pk=approval_id)


def _out(request: ApiRequest, approval_id: int) -> ProposalOut:
    return ProposalOut.of(_visible(request, approval_id))


def _without_keys(value: Any) -> Any:
    """What was asked for without idempotency keys, which are nobody's business but the caller's."""
    if isinstance(value, dict):
        return {name: _without_keys(item) for name, item in value.items() if name != "idempotency_key"}
    return [_without_keys(item) for item in value] if isinstance(value, list) else value
