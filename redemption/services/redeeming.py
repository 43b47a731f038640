"""Making codes and redeeming them."""

import secrets
import unicodedata
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import EntryKind, LedgerEntry, WebhookEvent
from billing.services import ledger, webhooks
from billing.services.accounts import InvalidAmountError, lock_account
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA
from oneapi_admin.lib.secrets import keyed_digest
from redemption.models import CodeBatch, CodeStatus, RedemptionCode

logger = structlog.get_logger(__name__)

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, which people misread."""
CODE_LENGTH = 16
MAX_BATCH = 10_000
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1"})


class CodeNotRedeemableError(DomainError):
    """One message for unknown, used and disabled codes, so that guessing teaches nothing."""

    code = "code_not_redeemable"
    http_status = 409
    message = _("This code cannot be redeemed.")
    remedy = _("Check it for typing errors. A used code is in the statement of whoever used it.")


class BatchTooLargeError(DomainError):
    code = "batch_too_large"
    http_status = 422
    message = _("A batch has between 1 and %(max)s codes.")


def normalized(text: str) -> str:
    """What a person meant: case, width, spaces and dashes do not matter, O is 0, I and L are 1."""
    signs = (sign for sign in unicodedata.normalize("NFKC", text) if sign.isalnum())
    return "".join(signs).upper().translate(_READ_AS)


def code_digest(text: str) -> str:
    """What a code is stored and found by."""
    return keyed_digest("redemption.code", settings.CODE_SECRET, normalized(text))


def create_batch(
    *, actor: User, name: str, quota: int, count: int, at: datetime
) -> tuple[CodeBatch, list[str]]:
    """Make codes, all or none.

    :param quota: what each code is worth, in quota units
    :returns: the batch and the codes in clear, ``XXXX-XXXX-XXXX-XXXX``, which are stored nowhere
    :raises InvalidAmountError: if the amount is outside 1 … 2^53 − 1
    :raises BatchTooLargeError: if the count is outside 1 … 10,000
    """
    if not 0 < quota <= MAX_QUOTA:
        raise InvalidAmountError(max=MAX_QUOTA)
    if not 0 < count <= MAX_BATCH:
        raise BatchTooLargeError(max=MAX_BATCH)
    codes = [_new_code() for _ in range(count)]
    batch = CodeBatch(name=name, quota=quota, count=count, created_by=actor, created_at=at)
    batch.full_clean()
    with transaction.atomic():
        batch.save()
        RedemptionCode.objects.bulk_create(
            (
                RedemptionCode(batch=batch, digest=code_digest(code), hint=code[-4:], quota=quota)
                for code in codes
            ),
            batch_size=500,
        )
        changes = audit.differences({}, audit.values(batch, "quota", "count"))
        audit.record(action=AuditAction.CODE_BATCH_CREATED, actor=actor, subject=batch, changes=changes)
    return batch, codes


def redeem(*, code: str, user: User, at: datetime) -> LedgerEntry:
    """Spend a code: mark it used and credit its quota to the user.

    :param code: as typed; case, spaces and hyphens do not matter
    :returns: the credit, in quota units
    :raises CodeNotRedeemableError: if it is unknown, disabled or used; one message for all three
    """
    digest = code_digest(code)
    with transaction.atomic():
        lock_account(user=user)
        claimed = RedemptionCode.objects.claim(digest=digest, user=user, at=at)
        if claimed is None:
            _log_refusal(digest, user)
            raise CodeNotRedeemableError
        posting = ledger.Posting(
            account_id=user.pk,
            kind=EntryKind.REDEMPTION,
            amount=claimed.quota,
            actor_id=user.pk,
            memo=f"…{claimed.hint}",
            reference=f"code:{claimed.pk}",
            idempotency_key=f"redemption:{claimed.pk}",
        )
        entry = ledger.post(postings=[posting], at=at)[0]
        webhooks.emit_movement(
            event=WebhookEvent.CODE_REDEEMED,
            entry=entry,
            user=user,
            code_id=claimed.pk,
            code_hint=claimed.hint,
            batch_id=claimed.batch_id,
        )
    return entry


def _log_refusal(digest: str, user: User) -> None:
    """Say in the log what the answer keeps to itself."""
    found = RedemptionCode.objects.filter(digest=digest).first()
    logger.warning(
        "redemption.code_refused",
        user_id=user.pk,
        reason=found.status if found else "unknown",
        code_id=found.pk if found else None,
    )


def set_code_status(*, actor: User, code: RedemptionCode, is_enabled: bool) -> bool:
    """Disable a code or enable it again; a used one stays used.

    :returns: whether it is so now
    """
    wanted = CodeStatus.ENABLED if is_enabled else CodeStatus.DISABLED
    with transaction.atomic():
        locked = RedemptionCode.objects.select_for_update().get(pk=code.pk)
        if locked.status == CodeStatus.USED:
            return False
        changes = audit.differences({"status": locked.status}, {"status": wanted})
        locked.status = wanted
        locked.save(update_fields=["status"])
        audit.record(action=AuditAction.CODE_STATUS_CHANGED, actor=actor, subject=locked, changes=changes)
    return True


def _new_code() -> str:
    symbols = [secrets.choice(ALPHABET) for _ in range(CODE_LENGTH)]
    return "-".join("".join(symbols[start : start + 4]) for start in range(0, CODE_LENGTH, 4))
