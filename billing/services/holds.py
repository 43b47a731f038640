"""Metered calls: admit reserves, settle charges, release gives back, expire sweeps.

Each function takes a batch and is one transaction, so that a process can commit
everything it has waiting at once. Locks are taken in one order everywhere: accounts by
ascending key, then channel totals by ascending key, then rollups, sorted by theirs. A
token's quota needs no order of its own: calls write it only while they have its account.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog
from django.utils.functional import Promise, lazy
from django.utils.translation import gettext_lazy as _

from billing.models import Hold, QuotaAccount, TokenQuota
from billing.services import callers
from billing.services.callers import Caller, caller_of, check_caller, check_model
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import format_usd
from oneapi_admin.lib.sql import (
    Answer,
    Batch,
    any_of,
    durable_batch,
    for_no_key_update,
    insert_rows,
    is_any,
    lock_rows,
    table,
    update_rows,
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


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    caller: Caller
    plan: Plan


@dataclass(slots=True)
class _Funds:
    """An account's or a token's room, kept up to date while a batch is decided."""

    left: int | None
    """Without what is held; None when there is no limit."""
    held: int
    added: int = 0

    def reserve(self, amount: int) -> None:
        self.held += amount
        self.added += amount
        if self.left is not None:
            self.left -= amount


def admit(*, requests: Sequence[AdmitRequest], at: datetime) -> list[Admission | DomainError]:
    """Decide each call, first come first served, and reserve what it can cost at most.

    :returns: for each request its admission, or the reason for its refusal
    """
    with durable_batch() as batch:
        book = _Book.locked(batch, {request.key_hash for request in requests})
        results: list[Admission | DomainError] = []
        rows: list[tuple[str, int, int, int, datetime, datetime]] = []
        for request in requests:
            found = book.callers.get(request.key_hash)
            try:
                caller = check_caller(caller=found, client_ip=request.client_ip, at=at)
                check_model(caller=caller, model=request.model)
                plan = _reserve(request, caller, book)
            except DomainError as refusal:
                refusal.language = found.language if found else ""
                results.append(refusal)
                continue
            results.append(Admission(caller=caller, plan=plan))
            rows.append(
                (request.request_id, caller.user_id, caller.token_id, plan.estimate, request.expires_at, at)
            )
        if rows:
            insert_rows(batch, Hold, _HOLD_COLUMNS, rows)
            _add_held(batch, QuotaAccount, {key: f.added for key, f in book.accounts.items() if f.added})
            _add_held(batch, TokenQuota, {key: f.added for key, f in book.tokens.items() if f.added})
    return results


_HOLD_COLUMNS = ("request_id", "account_id", "token_id", "amount", "expires_at", "created_at")
_LOCKING_QUERY = f"""
    SELECT {callers.COLUMNS}, a.balance, a.held, q.quota_limit, q.used_quota, q.held,
           (SELECT version FROM billing_configversion WHERE id = 1)
    FROM {callers.TABLES}
    JOIN billing_quotaaccount a ON a.user_id = u.id JOIN billing_tokenquota q ON q.token_id = t.id
    WHERE """


@dataclass(slots=True)
class _Book:
    """What a batch of calls is decided by, locked until it is written."""

    callers: dict[str, Caller]
    """By the hashes of their keys."""
    accounts: dict[int, _Funds]
    tokens: dict[int, _Funds]
    version: int
    """Of the configuration."""

    @classmethod
    def locked(cls, batch: Batch, key_hashes: Iterable[str]) -> "_Book":
        """Read it all with one query; whoever locks a token's row has locked its account's first."""
        lock = for_no_key_update()
        rows = batch.execute(
            f"{_LOCKING_QUERY} {is_any('t.key_hash', 'text')} ORDER BY a.user_id, q.token_id"
            f" {lock and f'{lock} OF a, q'}",
            [any_of(key_hashes)],
        ).fetchall()
        book = cls({}, {}, {}, rows[0][-1] if rows else 0)
        for row in rows:
            balance, held, limit, token_used, token_held, _version = row[-6:]
            caller = book.callers[row[0]] = caller_of(row)
            book.accounts.setdefault(caller.user_id, _Funds(left=balance - held, held=held))
            left = None if limit is None else limit - token_used - token_held
            book.tokens[caller.token_id] = _Funds(left=left, held=token_held)
        return book


def _reserve(request: AdmitRequest, caller: Caller, book: _Book) -> Plan:
    account, token = book.accounts[caller.user_id], book.tokens[caller.token_id]
    available = account.left or 0
    affordable = available if token.left is None else min(available, token.left)
    plan = request.plan(caller, max(affordable, 0), book.version)
    needed = plan.estimate
    if needed > affordable or affordable < 0:
        names = {
            "user": caller.username,
            "token": caller.token_name,
            "upstream": _filled(plan.upstream_note, request.model),
        }
        if token.left is not None and token.left < available:
            raise TokenQuotaError(left=token.left, held=token.held, needed=needed, **names)
        raise UserQuotaError(left=available, held=account.held, needed=needed, **names)
    account.reserve(needed)
    token.reserve(needed)
    return plan


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
    pairs = batch.execute(
        f"SELECT account_id, token_id FROM {table(Hold)} WHERE {is_any('request_id', 'text')}",
        [any_of(request_ids)],
    ).fetchall()
    lock_rows(batch, QuotaAccount, ["user_id"], (account_id for account_id, _ in pairs))
    dropped: list[DroppedHold] = delete_holds(batch, request_ids=request_ids).fetchall()
    by_account: dict[int, int] = defaultdict(int)
    by_token: dict[int, int] = defaultdict(int)
    for _request_id, account_id, token_id, amount in dropped:
        by_account[account_id] -= amount
        by_token[token_id] -= amount
    _add_held(batch, QuotaAccount, by_account)
    _add_held(batch, TokenQuota, by_token)
    return dropped


def delete_holds(batch: Batch, *, request_ids: Sequence[str]) -> Answer:
    """Delete holds whose accounts and tokens the caller has locked and will bring up to date.

    :returns: an answer with a :data:`DroppedHold` for each hold that still existed
    """
    return batch.execute(
        f"DELETE FROM {table(Hold)} WHERE {is_any('request_id', 'text')}"
        " RETURNING request_id, account_id, token_id, amount",
        [any_of(request_ids)],
    )


def _add_held(batch: Batch, model: type[QuotaAccount | TokenQuota], sums: dict[int, int]) -> None:
    if sums:
        key = "user_id" if model is QuotaAccount else "token_id"
        update_rows(batch, model, (key, "held"), "held = t.held + v.v1", sorted(sums.items()))
