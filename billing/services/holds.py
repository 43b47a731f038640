"""Holds: what calls in flight can cost at most, taken off what may be spent until they are charged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from django.utils.functional import Promise, lazy
from django.utils.translation import gettext_lazy as _

from billing.models import Hold
from billing.services.books import Books
from billing.services.callers import Caller, check_caller, check_model
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import format_usd
from oneapi_admin.lib.sql import (
    Answer,
    Batch,
    any_of,
    durable_batch,
    insert_rows,
    is_any,
    table,
)

logger = structlog.get_logger(__name__)

DroppedHold = tuple[str, int, int, int]
"""Request id, account id, token id and amount."""


def _fill(text: str | Promise, model: str) -> str:
    return str(text) % {"model": model}


_filled = lazy(_fill, str)
"""A sentence about the model, in the language in which the refusal is shown."""


class QuotaExhaustedError(DomainError):
    """The caller's side ran out. Never retried by client libraries; says which quota, how much, what to do.

    ``left`` and ``needed`` are quota units.
    """

    http_status = 403
    error_type = "insufficient_quota"
    quota = ""

    def __init__(self, *, left: int, held: int, needed: int, **context: Any) -> None:
        self.left, self.held, self.needed = left, held, needed
        amounts = {"left": format_usd(left), "held": format_usd(held), "needed": format_usd(needed)}
        super().__init__(**amounts, **context)


class UserQuotaError(QuotaExhaustedError):
    code = "insufficient_user_quota"
    quota = "user"
    message = _(
        "Your user quota on this service is not enough (user “%(user)s”): %(left)s is left,"
        " this call needs up to %(needed)s; calls in progress hold %(held)s."
        " %(upstream)s"
    )
    remedy = _(
        "Redeem a code or ask the operator for a top-up; a shorter prompt or a lower max_tokens needs less."
    )


class TokenQuotaError(QuotaExhaustedError):
    code = "pre_consume_token_quota_failed"
    quota = "token"
    message = _(
        "The token's own quota limit is not enough (token “%(token)s”): %(left)s is left of its limit,"
        " this call needs up to %(needed)s; calls in progress hold %(held)s."
        " Your user quota is not the cause. %(upstream)s"
    )
    remedy = _("Raise or remove the token's limit on the Tokens page, or use another token.")


class Plan(Protocol):
    """What a call will do, and the most it can cost."""

    @property
    def estimate(self) -> int:
        """The upper bound of its cost, in quota units."""

    @property
    def upstream_note(self) -> str | Promise:
        """What is known of the provider's own quota, for refusals; takes ``%(model)s``."""


@dataclass(slots=True, kw_only=True)
class AdmitRequest:
    request_id: str
    key_hash: str
    client_ip: str
    model: str
    plan: Callable[[Caller, int, int], Plan]
    """Chooses channels and price for this caller, who can afford so many quota units, under this
    version of the configuration; may raise DomainError."""
    expires_at: datetime
    """When the hold may be swept: after the longest time the call can take."""


@dataclass(slots=True, kw_only=True)
class Admission:
    caller: Caller
    plan: Plan


def reserve(*, books: Books, requests: Sequence[AdmitRequest], at: datetime) -> list[Admission | DomainError]:
    """Decide each call, first come first served, and reserve what it can cost at most.

    :returns: for each request its admission, or the reason for its refusal
    """
    results: list[Admission | DomainError] = []
    for request in requests:
        found = books.callers.get(request.key_hash)
        try:
            caller = check_caller(caller=found, client_ip=request.client_ip, at=at)
            check_model(caller=caller, model=request.model)
            results.append(Admission(caller=caller, plan=_reserve(request, caller, books)))
        except DomainError as refusal:
            refusal.language = found.language if found else ""
            results.append(refusal)
    return results


def _reserve(request: AdmitRequest, caller: Caller, books: Books) -> Plan:
    account, token = books.accounts[caller.user_id], books.token(caller.token_id)
    available, left = account.available, token.left
    affordable = available if left is None else min(available, left)
    plan = request.plan(caller, max(affordable, 0), books.config_version)
    needed = plan.estimate
    if needed > affordable or affordable < 0:
        names = {
            "user": caller.username,
            "token": caller.token_name,
            "upstream": _filled(plan.upstream_note, request.model),
        }
        if left is not None and left < available:
            raise TokenQuotaError(left=left, held=token.held + token.newly_held, needed=needed, **names)
        raise UserQuotaError(left=available, held=account.held, needed=needed, **names)
    account.hold(needed)
    token.hold(needed)
    return plan


_COLUMNS = ("request_id", "account_id", "token_id", "amount", "expires_at", "created_at")


def insert_holds(
    batch: Batch,
    requests: Sequence[AdmitRequest],
    results: Sequence[Admission | DomainError],
    at: datetime,
) -> None:
    """Write the holds of the calls that were admitted."""
    rows = [
        (
            request.request_id,
            result.caller.user_id,
            result.caller.token_id,
            result.plan.estimate,
            request.expires_at,
            at,
        )
        for request, result in zip(requests, results, strict=True)
        if isinstance(result, Admission)
    ]
    if rows:
        insert_rows(batch, Hold, _COLUMNS, rows)


def release(*, request_ids: Sequence[str]) -> int:
    """Give back holds in full, for calls of which nothing was served.

    :returns: how many were still held; releasing twice does nothing
    """
    with durable_batch() as batch:
        return len(drop_holds(batch, request_ids=request_ids))


def expire(*, at: datetime, limit: int = 1000) -> int:
    """Give back holds whose calls cannot be running any more, such as those of a killed process.

    :returns: how many were swept; call again while it is ``limit``
    """
    expired = Hold.objects.filter(expires_at__lte=at).order_by("expires_at")
    request_ids = list(expired.values_list("request_id", flat=True)[:limit])
    with durable_batch() as batch:
        dropped = drop_holds(batch, request_ids=request_ids)
    for request_id, account_id, _token_id, amount in dropped:
        logger.warning("billing.hold_expired", request_id=request_id, account_id=account_id, quota=amount)
    return len(dropped)


def drop_holds(batch: Batch, *, request_ids: Sequence[str]) -> list[DroppedHold]:
    """Delete the holds that still exist and take them off their accounts and tokens."""
    if not request_ids:
        return []
    books = Books(batch, account_ids=owners_of(batch, request_ids=request_ids))
    deleted = delete_holds(batch, request_ids=request_ids)
    books.read()
    dropped = free(books, deleted)
    books.write()
    return dropped


def owners_of(batch: Batch, *, request_ids: Sequence[str]) -> set[int]:
    """Whose accounts holds are on, for locking those: the holds may be gone by then."""
    if not request_ids:
        return set()
    rows = batch.execute(
        f"SELECT account_id FROM {table(Hold)} WHERE {is_any('request_id', 'text')}", [any_of(request_ids)]
    ).fetchall()
    return {account_id for (account_id,) in rows}


def delete_holds(batch: Batch, *, request_ids: Sequence[str]) -> Answer:
    """Delete holds whose accounts are locked.

    :returns: an answer for :func:`free`
    """
    return batch.execute(
        f"DELETE FROM {table(Hold)} WHERE {is_any('request_id', 'text')}"
        " RETURNING request_id, account_id, token_id, amount",
        [any_of(request_ids)],
    )


def free(books: Books, deleted: Answer) -> list[DroppedHold]:
    """Give back what deleted holds had reserved; returns those that still existed."""
    dropped: list[DroppedHold] = deleted.fetchall()
    for _request_id, account_id, token_id, amount in dropped:
        books.accounts[account_id].hold(-amount)
        books.token(token_id).hold(-amount)
    return dropped
