"""Codes in clear: for as long as they can be read after they were made, and no longer."""

from collections.abc import Iterator
from datetime import datetime

from cryptography.fernet import InvalidToken
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from oneapi_admin.lib.errors import DomainError
from redemption import code_format
from redemption.models import BatchStatus, CodeBatch, SealedCodes
from redemption.services.secrets import unseal

_BATCHES_AT_ONCE = 100
_NOT_MADE = (BatchStatus.CREATING, BatchStatus.FAILED)


class CodesGoneError(DomainError):
    code = "codes_gone"
    http_status = 410
    message = _("The codes of the batch “%(name)s” cannot be read any more.")
    remedy = _("If they are lost, revoke the batch and make a new one.")


class CodesNotReadyError(DomainError):
    code = "codes_not_ready"
    http_status = 409
    is_retryable = True
    message = _("The codes of the batch “%(name)s” are not made yet.")


def open_codes(*, actor: User | None, batch: CodeBatch, how: str, at: datetime) -> Iterator[str]:
    """Read the codes of a batch, as people see them, in the order in which they were made.

    They are decrypted part by part while they are read; should somebody confirm the download meanwhile, the
    rest is an error and not a shorter list.

    :param how: for the audit log: the format of the file, say
    :raises CodesNotReadyError: if they are being made
    :raises CodesGoneError: if their time is over, or somebody confirmed that they were downloaded
    """
    with transaction.atomic():
        locked = CodeBatch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        check_readable(batch=locked, at=at)
        if locked.downloaded_at is None:
            locked.downloaded_at = at
            locked.save(update_fields=["downloaded_at"])
        audit.record(
            action=AuditAction.CODES_DOWNLOADED,
            actor=actor,
            subject=locked,
            changes=audit.differences({}, {"format": how}),
        )
    return _read_parts(locked)


def is_readable(*, batch: CodeBatch, at: datetime) -> bool:
    """Whether the codes of a batch can be read."""
    return batch.sealed_until is not None and at < batch.sealed_until


def check_readable(*, batch: CodeBatch, at: datetime) -> None:
    """
    :raises CodesNotReadyError: if they are being made
    :raises CodesGoneError: if they cannot be read any more, or there are none
    """
    if batch.status in _NOT_MADE:
        raise CodesNotReadyError(name=batch.name)
    if not is_readable(batch=batch, at=at):
        raise CodesGoneError(name=batch.name)


def forget_codes(*, actor: User | None, batch: CodeBatch) -> None:
    """Somebody has the codes: delete what they could be read from. They stay redeemable.

    :raises CodesNotReadyError: if they are being made
    """
    with transaction.atomic():
        locked = CodeBatch.objects.select_for_update(no_key=True).get(pk=batch.pk)
        if locked.status in _NOT_MADE:
            raise CodesNotReadyError(name=locked.name)
        if locked.sealed_until is None:
            return
        locked.sealed_until = None
        locked.save(update_fields=["sealed_until"])
        SealedCodes.objects.filter(batch=locked).delete()
        audit.record(action=AuditAction.CODES_FORGOTTEN, actor=actor, subject=locked)


def forget_expired(*, at: datetime) -> int:
    """Delete what codes could be read from, where the time for it is over.

    :returns: of how many batches
    """
    with transaction.atomic():
        expired = CodeBatch.objects.filter(sealed_until__lte=at).order_by("pk")[:_BATCHES_AT_ONCE]
        found = [batch.pk for batch in expired.select_for_update(no_key=True)]
        CodeBatch.objects.filter(pk__in=found).update(sealed_until=None)
        SealedCodes.objects.filter(batch__in=found).delete()
    return len(found)


def _read_parts(batch: CodeBatch) -> Iterator[str]:
    read = number = 0
    while read < batch.count:
        part = SealedCodes.objects.filter(batch=batch, number=number).first()
        if part is None:
            raise CodesGoneError(name=batch.name)
        try:
            random = unseal(bytes(part.content))
        except InvalidToken as exc:
            raise CodesGoneError(name=batch.name) from exc
        yield from code_format.written(random)
        read += len(random) // code_format.RANDOM_BYTES
        number += 1
