"""Batches of codes: ordering one, and ending one."""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.services.accounts import InvalidAmountError
from billing.services.approval_settings import approval_threshold
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.jobs import enqueue
from oneapi_admin.lib.quota import MAX_QUOTA, format_usd
from redemption.models import BatchStatus, CodeBatch, SealedCodes

MAX_CODES = 1_000_000
MAX_USES = 1_000_000
MAKE_CODES = "redemption.make_codes"
"""The job that makes the codes of one batch."""
_AUDITED = (
    *("quota", "count", "valid_from", "valid_until", "uses_per_code", "uses_per_user"),
    *("is_once_per_user", "group", "tag"),
)


class BatchTooLargeError(DomainError):
    code = "batch_too_large"
    http_status = 422
    message = _("A batch has between 1 and %(max)s codes.")


class InvalidUsesError(DomainError):
    code = "invalid_uses"
    http_status = 422
    message = _("A code has between 1 and %(max)s uses, and one person no more of them than there are.")


class InvalidValidityError(DomainError):
    code = "invalid_validity"
    http_status = 422
    message = _("The codes must be valid until some time in the future, later than they are valid from.")


class BatchNeedsRootError(DomainError):
    """Whose top-ups need an approval cannot make codes of as much instead."""

    code = "approval_required"
    http_status = 409
    message = _("Codes of more than %(amount)s in all are for root to make.")
    remedy = _("Top-ups of as much need an approval. Make fewer codes, or ask root.")


class BatchStateError(DomainError):
    """The batch is not, or not any more, in a state in which this can be done."""

    code = "batch_state"
    http_status = 409
    message = _("This cannot be done with the batch “%(name)s” as it is now: %(status)s.")


class KeyReusedError(DomainError):
    code = "key_reused"
    http_status = 409
    message = _("This form has already made other codes. Send it again to make these, too.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTerms:
    """What an operator says of codes to be made; ``quota`` in quota units, for each use of a code."""

    name: str
    quota: int
    count: int
    note: str = ""
    tag: str = ""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    uses_per_code: int = 1
    uses_per_user: int = 1
    is_once_per_user: bool = False
    group: str = ""


def create_batch(
    *, actor: User | None, terms: BatchTerms, at: datetime, key: UUID | None = None
) -> CodeBatch:
    """Order codes; ``redemption.services.making`` makes them.

    :param key: who orders with the same one again gets the batch that is there
    :raises InvalidAmountError: if a code's amount is outside 1 … 2^53 − 1
    :raises BatchTooLargeError: if the count is outside 1 … 1,000,000
    :raises InvalidUsesError: if the uses contradict each other
    :raises InvalidValidityError: if there is no time at which the codes would be valid
    :raises BatchNeedsRootError: if they are worth more than the actor may give somebody alone
    :raises KeyReusedError: if the key stands for other terms
    :raises ValidationError: if a text is not valid
    """
    known = _known(key, terms)
    if known is not None:
        return known
    _check(terms, at)
    _check_may_make(actor, terms)
    batch = CodeBatch(created_by=actor, created_at=at, key=key, **asdict(terms))
    batch.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            batch.save()
            changes = audit.differences({}, audit.values(batch, *_AUDITED))
            audit.record(action=AuditAction.CODE_BATCH_CREATED, actor=actor, subject=batch, changes=changes)
    except IntegrityError:
        known = _known(key, terms)  # ordered at the same time
        if known is None:
            raise
        return known
    return batch


def start_making(batch: CodeBatch) -> None:
    """Have the codes made by a job, once the caller's transaction is through."""
    transaction.on_commit(lambda: enqueue(MAKE_CODES, batch_id=batch.pk), robust=True)


def cancel_batch(*, actor: User, batch: CodeBatch) -> None:
    """Stop making codes: there will be none.

    :raises BatchStateError: if they are there already
    """
    _change(
        actor,
        batch,
        since=(BatchStatus.CREATING, BatchStatus.FAILED),
        to=BatchStatus.CANCELLED,
        action=AuditAction.CODE_BATCH_CANCELLED,
    )


def retry_batch(*, actor: User, batch: CodeBatch) -> None:
    """Make the codes that could not be made.

    :raises BatchStateError: if making them did not fail
    """
    with transaction.atomic():
        _change(
            actor,
            batch,
            since=(BatchStatus.FAILED,),
            to=BatchStatus.CREATING,
            action=AuditAction.CODE_BATCH_RETRIED,
        )
        start_making(batch)


def fail_batch(*, batch_id: int, reason: str) -> None:
    """Note that the codes of a batch could not be made, and why."""
    CodeBatch.objects.filter(pk=batch_id, status=BatchStatus.CREATING).update(
        status=BatchStatus.FAILED, failure=reason[:255]
    )


def set_batch_status(*, actor: User, batch: CodeBatch, is_enabled: bool) -> None:
    """Disable all codes of a batch at once, or let them be redeemed again.

    :raises BatchStateError: if they were not made, or were revoked
    """
    _change(
        actor,
        batch,
        since=(BatchStatus.READY, BatchStatus.DISABLED),
        to=BatchStatus.READY if is_enabled else BatchStatus.DISABLED,
        action=AuditAction.CODE_BATCH_STATUS_CHANGED,
    )


def revoke_batch(*, actor: User, batch: CodeBatch) -> None:
    """End a batch for good: what is not redeemed never will be. What was redeemed stays with who has it.

    :raises BatchStateError: if there are no codes, or it was revoked before
    """
    with transaction.atomic():
        CodeBatch.objects.filter(pk=batch.pk).update(sealed_until=None)
        SealedCodes.objects.filter(batch=batch).delete()
        _change(
            actor,
            batch,
            since=(BatchStatus.READY, BatchStatus.DISABLED),
            to=BatchStatus.REVOKED,
            action=AuditAction.CODE_BATCH_REVOKED,
        )


def _known(key: UUID | None, terms: BatchTerms) -> CodeBatch | None:
    """The batch that was ordered with a key.

    :raises KeyReusedError: if it is another one
    """
    batch = None if key is None else CodeBatch.objects.filter(key=key).first()
    if batch is not None and any(getattr(batch, name) != value for name, value in asdict(terms).items()):
        raise KeyReusedError
    return batch


def _check(terms: BatchTerms, at: datetime) -> None:
    if not 0 < terms.quota <= MAX_QUOTA:
        raise InvalidAmountError(max=MAX_QUOTA)
    if not 0 < terms.count <= MAX_CODES:
        raise BatchTooLargeError(max=MAX_CODES)
    if not 0 < terms.uses_per_user <= terms.uses_per_code <= MAX_USES:
        raise InvalidUsesError(max=MAX_USES)
    if terms.valid_until is not None and terms.valid_until <= max(at, terms.valid_from or at):
        raise InvalidValidityError


def _check_may_make(actor: User | None, terms: BatchTerms) -> None:
    threshold = approval_threshold()
    if actor is None or actor.is_root or threshold is None:
        return
    if terms.quota * terms.count * terms.uses_per_code > threshold:
        raise BatchNeedsRootError(amount=format_usd(threshold))


def _change(
    actor: User,
    batch: CodeBatch,
    *,
    since: tuple[BatchStatus, ...],
    to: BatchStatus,
    action: AuditAction,
) -> None:
    with transaction.atomic():
        locked = CodeBatch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        if locked.status not in since:
            raise BatchStateError(name=locked.name, status=BatchStatus(locked.status).label)
        changes = audit.differences({"status": locked.status}, {"status": to})
        locked.status, locked.failure = to, ""
        locked.save(update_fields=["status", "failure"])
        audit.record(action=action, actor=actor, subject=locked, changes=changes)
