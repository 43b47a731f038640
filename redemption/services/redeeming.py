"""Redeeming codes."""

from datetime import datetime
from typing import NamedTuple

import structlog
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import EntryKind, LedgerEntry, WebhookEvent
from billing.services import ledger, webhooks
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.sql import Batch, Statements, insert_rows, joined_batch, update_rows, upsert_sums
from redemption import code_format
from redemption.models import BatchDay, CodeStatus, Redemption, RedemptionCode
from redemption.services.locked_codes import (
    LockedCode,
    ask_for_code,
    code_in,
    count_redemptions,
    count_redemptions_of_batch,
)
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


class _Refusal(NamedTuple):
    reason: str
    code_id: int | None


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
    with joined_batch() as batch:
        outcome = _attempt(batch, digests, user, at)
    if outcome is None:
        with transaction.atomic():
            outcome = _attempt(Statements(), digests, user, at)
    if isinstance(outcome, _Refusal):
        _log_refusal(outcome, user)
        raise CodeNotRedeemableError
    if outcome is None:
        raise AssertionError("a transaction that Django knows of can always tell")
    return outcome


def _attempt(batch: Batch, digests: list[bytes], user: User, at: datetime) -> LedgerEntry | _Refusal | None:
    """Redeem a code in a transaction.

    :returns: the credit, or why there is none. None if webhooks are to be told, which is written through
        Django in a transaction that it knows of; then nothing was done
    """
    locked, asked, events = (
        ledger.lock_account(batch, user.pk),
        ask_for_code(batch, digests),
        webhooks.ask_for_events(batch),
    )
    balance = ledger.balance_of(batch, user.pk, locked)
    code = code_in(asked)
    if code is None:
        return _Refusal("unknown", None)
    obstacle = code.obstacle(at) or _personal_obstacle(batch, code, user)
    if obstacle:
        return _Refusal(obstacle, code.pk)
    is_told = webhooks.is_told(events, WebhookEvent.CODE_REDEEMED)
    if is_told and not isinstance(batch, Statements):
        return None
    entry = _credit(batch, code, user, balance, at)
    if is_told:
        _tell(code, entry, user)
    return entry


def _personal_obstacle(batch: Batch, code: LockedCode, user: User) -> str:
    """Why others may redeem a code and this person may not."""
    if code.group and user.group != code.group:
        return "other_group"
    if code.is_once_per_user and count_redemptions_of_batch(batch, user_id=user.pk, batch_id=code.batch_id):
        return "batch_used_by_user"
    if code.used_count and count_redemptions(batch, user_id=user.pk, code_id=code.pk) >= code.uses_per_user:
        return "used_by_user"
    return ""


def _credit(batch: Batch, code: LockedCode, user: User, balance: int, at: datetime) -> LedgerEntry:
    """Count a use of a locked code and write what it is worth."""
    number = code.used_count + 1
    is_used_up = number == code.uses_per_code
    posting = ledger.Posting(
        account_id=user.pk,
        kind=EntryKind.REDEMPTION,
        amount=code.quota,
        actor_id=user.pk,
        memo=f"…{code.hint}",
        reference=f"code:{code.pk}",
    )
    entry = ledger.post_one(batch, posting, balance=balance, at=at)
    status = CodeStatus.USED if is_used_up else CodeStatus.ENABLED
    update_rows(
        batch,
        RedemptionCode,
        ("id", "used_count", "status", "redeemed_by_id", "redeemed_at"),
        "used_count = v.v1, status = v.v2, redeemed_by_id = v.v3, redeemed_at = v.v4",
        [(code.pk, number, status.value, user.pk, at)],
    )
    insert_rows(
        batch,
        Redemption,
        ("code_id", "number", "batch_id", "user_id", "entry_id", "created_at"),
        [(code.pk, number, code.batch_id, user.pk, entry.pk, at)],
    )
    # The last lock: some others who redeem a code of this batch today wait for it.
    key, sums = ("batch_id", "day", "shard"), ("redeemed_count", "used_count")
    today = (code.batch_id, at.date(), user.pk % BatchDay.SHARDS)
    upsert_sums(batch, BatchDay, key, sums, [(*today, 1, int(is_used_up))])
    return entry


def _tell(code: LockedCode, entry: LedgerEntry, user: User) -> None:
    webhooks.emit_movement(
        event=WebhookEvent.CODE_REDEEMED,
        entry=entry,
        user=user,
        code_id=code.pk,
        code_hint=code.hint,
        batch_id=code.batch_id,
    )


def _log_refusal(refusal: _Refusal, user: User) -> None:
    """Say in the log what the answer keeps to itself."""
    logger.warning("redemption.code_refused", user_id=user.pk, reason=refusal.reason, code_id=refusal.code_id)
