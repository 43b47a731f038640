"""Two operators for large movements: one proposes, another approves, and then it is done as it was asked for.

A proposal is decided once, under its lock, which is taken before any account's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, User, UserStatus
from accounts.services.permissions import PermissionDeniedError
from billing.models import ApprovedEntry, Decision, Proposal, ProposalKind, ProposalStatus, Verdict
from billing.models.approvals import LIFETIME
from billing.services.acts import Act, Movement, act_of
from billing.services.approval_settings import approval_threshold
from billing.services.ledger import IdempotencyKeyReusedError
from oneapi_admin.lib.errors import DomainError

Result = TypeVar("Result")
_ABOUT_MANY = frozenset({ProposalKind.BULK_TOP_UP, ProposalKind.BULK_UNDO})


class ProposalDecidedError(DomainError):
    code = "proposal_decided"
    http_status = 409
    message = _("This was decided already: %(status)s.")


class ProposalExpiredError(DomainError):
    code = "proposal_expired"
    http_status = 409
    message = _("This waited too long and expired.")
    remedy = _("Propose it again.")


class OwnProposalError(PermissionDeniedError):
    code = "own_proposal"
    message = _("Another operator has to decide about what you have proposed.")


class NotProposerError(PermissionDeniedError):
    message = _("Only who proposed this may withdraw it.")


class ProposerGoneError(DomainError):
    code = "proposer_gone"
    http_status = 409
    message = _("Who proposed this is disabled, deleted, or no operator any more.")
    remedy = _("Reject it; another operator can propose it again.")


class MoreThanProposedError(DomainError):
    code = "more_than_proposed"
    http_status = 409
    message = _("This would now move %(amount)s quota units, more than the %(proposed)s that were proposed.")
    remedy = _("Reject it; it can be proposed again.")


class NothingLeftError(DomainError):
    code = "nothing_left"
    http_status = 409
    message = _("There is nothing left to move.")


def submit(*, actor: User, act: Act[Result], at: datetime) -> Result | Proposal:
    """Do what an operator asks for, or, if it moves more than one operator may, keep it as a proposal.

    How much it moves is found out by doing it: all checks are made either way, and above the amount it is
    taken back before anybody can see it.

    :returns: what the act's service returns, or the proposal, also when it is asked for again with its key
    :raises IdempotencyKeyReusedError: if the key stands for another proposal
    :raises DomainError: if the act's service refuses it
    """
    known = _known(actor, act)
    if known is not None:
        return known
    threshold = approval_threshold()
    if threshold is None:
        return act.carry_out(actor=actor, at=at)
    with transaction.atomic():
        with transaction.atomic():
            result = act.carry_out(actor=actor, at=at)
            movements = list(act.movements(result))
            is_above = abs(_total(movements)) > threshold
            transaction.set_rollback(is_above)
        return _propose(actor, act, movements, at) if is_above else result


def approve(*, actor: User, proposal: Proposal, at: datetime) -> Decision:
    """Do what was proposed, in the proposer's name, with all checks made anew; once.

    If it is refused nothing is moved, and the proposal stays open.

    :raises ProposalDecidedError: if somebody has decided
    :raises ProposalExpiredError: if it is too late
    :raises OwnProposalError: if the actor proposed it
    :raises PermissionDeniedError: if the actor may not manage everybody whom it is about
    :raises ProposerGoneError: if the proposer could not do it by themselves any more
    :raises MoreThanProposedError: if more would be moved than was proposed
    :raises DomainError: if the act's service refuses it
    """
    with transaction.atomic():
        locked = _locked_open(proposal, at)
        _check_may_decide(actor, locked)
        proposer = locked.proposer
        if not (proposer.is_operator and proposer.status == UserStatus.ENABLED):
            raise ProposerGoneError
        act = act_of(kind=locked.kind, request=locked.request)
        result = act.carry_out(actor=proposer, at=at)
        movements = list(act.movements(result))
        if not movements:
            raise act.refusal(result) or NothingLeftError()
        _check_is_as_proposed(actor, locked, movements)
        decision = _decide(locked, Verdict.APPROVED, actor, at)
        ApprovedEntry.objects.bulk_create(
            ApprovedEntry(entry_id=movement.entry_id, proposal=locked) for movement in movements
        )
    return decision


def reject(*, actor: User, proposal: Proposal, note: str = "", at: datetime) -> Decision:
    """Decide that what was proposed is not done.

    :param note: why
    :raises ProposalDecidedError: if somebody has decided
    :raises ProposalExpiredError: if it is too late
    :raises OwnProposalError: if the actor proposed it: who proposed it withdraws it
    :raises PermissionDeniedError: if the actor may not approve it either
    """
    with transaction.atomic():
        locked = _locked_open(proposal, at)
        _check_may_decide(actor, locked)
        return _decide(locked, Verdict.REJECTED, actor, at, note)


def withdraw(*, actor: User, proposal: Proposal, at: datetime) -> Decision:
    """Take one's own proposal back.

    :raises ProposalDecidedError: if somebody has decided
    :raises ProposalExpiredError: if it is too late
    :raises NotProposerError: if somebody else proposed it
    """
    with transaction.atomic():
        locked = _locked_open(proposal, at)
        if actor.pk != locked.proposer_id:
            raise NotProposerError
        return _decide(locked, Verdict.WITHDRAWN, actor, at)


def _known(actor: User, act: Act[Result]) -> Proposal | None:
    """The proposal that was made under the act's key.

    :raises IdempotencyKeyReusedError: if it is another one
    """
    if act.idempotency_key is None:
        return None
    proposal = Proposal.objects.filter(idempotency_key=act.idempotency_key).first()
    if proposal is None:
        return None
    is_same = (proposal.proposer_id, proposal.kind, proposal.request) == (actor.pk, act.kind, act.as_json())
    if not is_same:
        raise IdempotencyKeyReusedError
    return proposal


def _propose(actor: User, act: Act[Result], movements: Sequence[Movement], at: datetime) -> Proposal:
    ids = {movement.account_id for movement in movements}
    proposal = Proposal(
        kind=act.kind,
        proposer=actor,
        user_id=None if act.kind in _ABOUT_MANY else ids.copy().pop(),
        amount=_total(movements),
        entry_count=len(movements),
        memo=act.memo,
        request=act.as_json(),
        idempotency_key=act.idempotency_key,
        is_for_root=User.objects.filter(pk__in=ids).exclude(role=Role.USER).exists(),
        created_at=at,
        expires_at=at + LIFETIME,
    )
    try:
        with transaction.atomic():
            proposal.save(force_insert=True)  # waits for who proposes under the same key at this moment
    except IntegrityError:
        known = _known(actor, act)
        if known is None:
            raise
        return known
    return proposal


def _locked_open(proposal: Proposal, at: datetime) -> Proposal:
    """The proposal, which nobody else can decide until the transaction ends.

    :raises ProposalDecidedError: if somebody has decided
    :raises ProposalExpiredError: if it is too late
    """
    proposals = Proposal.objects.select_for_update(of=("self",)).select_related("proposer", "user")
    locked = proposals.get(pk=proposal.pk)
    status = locked.status_at(at)
    if status == ProposalStatus.EXPIRED:
        raise ProposalExpiredError
    if status != ProposalStatus.OPEN:
        raise ProposalDecidedError(status=status.label)
    return locked


def _check_may_decide(actor: User, proposal: Proposal) -> None:
    if actor.pk == proposal.proposer_id:
        raise OwnProposalError
    if (
        actor.status != UserStatus.ENABLED
        or not Proposal.objects.visible_to(actor).filter(pk=proposal.pk).exists()
    ):
        raise PermissionDeniedError


def _check_is_as_proposed(actor: User, proposal: Proposal, movements: Sequence[Movement]) -> None:
    """Look at what is about to be moved: whom it is about may be another matter than a week ago."""
    amount = _total(movements)
    if abs(amount) > abs(proposal.amount):
        raise MoreThanProposedError(amount=abs(amount), proposed=abs(proposal.amount))
    ids = {movement.account_id for movement in movements}
    if User.objects.manageable_by(actor).filter(pk__in=ids).count() != len(ids):
        raise PermissionDeniedError


def _decide(proposal: Proposal, verdict: Verdict, actor: User, at: datetime, note: str = "") -> Decision:
    return Decision.objects.create(proposal=proposal, verdict=verdict, actor=actor, note=note, created_at=at)


def _total(movements: Sequence[Movement]) -> int:
    return sum(movement.amount for movement in movements)
