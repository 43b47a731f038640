"""Redeeming codes."""

from contextlib import nullcontext
from datetime import datetime

import structlog
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import EntryKind, LedgerEntry, WebhookEvent
from billing.services import ledger, webhooks
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.sql import Batch, insert_rows, joined_batch, update_rows, upsert_sums
from redemption import code_format
from redemption.models import BatchDay, BatchState, CodeStatus, Redemption, RedemptionCode
from redemption.services.locked_codes import count_redemptions, count_redemptions_of_batch, locked_code
from redemption.services.secrets import code_digests

logger = structlog.get_logger(__name__)


class CodeNotRedeemableError(DomainError):
    """One message for unknown, used, disabled and all other such codes, so that guessing teaches nothing."""

    code = "code_not_redeemable"
    http_status = 409
    message = _("This code cannot be redeemed.")
    remedy = _(
        "It is unknown, used up, not valid at present, or not for you."
        " What you redeemed yourself is in your statement; otherwise ask whoever gave you the code."
    )


def redeem(*, code: str, user: User, at: datetime) -> LedgerEntry:
    """Spend a use of a code: count it and credit its quota to the user.

    The locks make it exact: the account's lets one redemption of a person through at a time, the code's
    one of a code. Should they ever fail, the database refuses a second redemption of the same number.

    :param code: as typed; case, spaces and hyphens do not matter
    :returns: the credit, in quota units
    :raises CodeMistypedError: if it can be no code at all
    :raises CodeNotRedeemableError: if it is unknown, disabled, used up, outside its time, or not for this
        person; one message for all of them
    """
    digests = code_digests(code_format.read(code))
    is_told = webhooks.is_told(WebhookEvent.CODE_REDEEMED)
    # What webhooks are told is written through Django, in a transaction that it knows of.
    with transaction.atomic() if is_told else nullcontext(), joined_batch() as batch:
        ledger.lock_account(batch, user.pk)
        found = locked_code(batch, digests)
        obstacle = _obstacle(batch, found, user, at)
        if found is not None and not obstacle:
            entry = _credit(batch, found, user, at)
            if is_told:
                _tell(found, entry, user)
            return entry
    _log_refusal(found, obstacle, user)
    raise CodeNotRedeemableError


def _obstacle(batch: Batch, code: RedemptionCode | None, user: User, at: datetime) -> str:
    """Why a person cannot redeem a code now; empty when they can."""
    if code is None:
        return "unknown"
    if code.status != CodeStatus.ENABLED:
        return str(code.status)
    state = code.batch.state(at)
    return f"batch_{state}" if state != BatchState.ACTIVE else _personal_obstacle(batch, code, user)


def _personal_obstacle(batch: Batch, code: RedemptionCode, user: User) -> str:
    """Why others may redeem a code and this person may not."""
    terms = code.batch
    if terms.group and user.group != terms.group:
        return "other_group"
    if terms.is_once_per_user and count_redemptions_of_batch(batch, user_id=user.pk, batch_id=terms.pk):
        return "batch_used_by_user"
    if code.used_count and count_redemptions(batch, user_id=user.pk, code_id=code.pk) >= terms.uses_per_user:
        return "used_by_user"
    return ""


def _credit(batch: Batch, code: RedemptionCode, user: User, at: datetime) -> LedgerEntry:
    """Count a use of a locked code and write what it is worth."""
    number = code.used_count + 1
    posting = ledger.Posting(
        account_id=user.pk,
        kind=EntryKind.REDEMPTION,
        amount=code.batch.quota,
        actor_id=user.pk,
        memo=f"…{code.hint}",
        reference=f"code:{code.pk}",
    )
    [entry] = ledger.post(postings=[posting], at=at, batch=batch)
    is_used_up = number == code.batch.uses_per_code
    _count_use(batch, code, number, CodeStatus.USED if is_used_up else CodeStatus.ENABLED, user, at)
    insert_rows(
        batch,
        Redemption,
        ("code_id", "number", "batch_id", "user_id", "entry_id", "created_at"),
        [(code.pk, number, code.batch.pk, user.pk, entry.pk, at)],
    )
    # The last lock: some others who redeem a code of this batch today wait for it.
    key, sums = ("batch_id", "day", "shard"), ("redeemed_count", "used_count")
    today = (code.batch.pk, at.date(), user.pk % BatchDay.SHARDS)
    upsert_sums(batch, BatchDay, key, sums, [(*today, 1, int(is_used_up))])
    return entry


def _count_use(
    batch: Batch, code: RedemptionCode, number: int, status: CodeStatus, user: User, at: datetime
) -> None:
    update_rows(
        batch,
        RedemptionCode,
        ("id", "used_count", "status", "redeemed_by_id", "redeemed_at"),
        "used_count = v.v1, status = v.v2, redeemed_by_id = v.v3, redeemed_at = v.v4",
        [(code.pk, number, status.value, user.pk, at)],
    )


def _tell(code: RedemptionCode, entry: LedgerEntry, user: User) -> None:
    webhooks.emit_movement(
        event=WebhookEvent.CODE_REDEEMED,
        entry=entry,
        user=user,
        code_id=code.pk,
        code_hint=code.hint,
        batch_id=code.batch.pk,
    )


def _log_refusal(code: RedemptionCode | None, reason: str, user: User) -> None:
    """Say in the log what the answer keeps to itself."""
    logger.warning(
        "redemption.code_refused", user_id=user.pk, reason=reason, code_id=code.pk if code else None
    )
