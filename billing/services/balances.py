"""Asking a provider what an account holds, and keeping what it says."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from cryptography.fernet import InvalidToken
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import BalanceKind, BalancePoll, BalanceSnapshot, Channel, ChannelTotals
from billing.queries.rates import rate_on
from billing.services import reconciling, standing
from billing.services.config import bump_version
from billing.services.snapshots import has_money, is_near_limit, newest_snapshots
from billing.upstream.balances.errors import BalanceRefusedError, BalanceUnavailableError
from billing.upstream.balances.providers.manual import Manual
from billing.upstream.balances.reading import Account, Reading
from billing.upstream.balances.registry import Told, read_balance
from oneapi_admin.lib.errors import DomainError

logger = structlog.get_logger(__name__)

CLAIMED_FOR = timedelta(minutes=3)
"""Longer than the longest asking: whoever claimed a channel and has not reported by then is dead."""
KEPT_ANYWAY = timedelta(hours=1)
"""What is the same as before is written again after this time, and not every few minutes."""
_MICRO = Decimal("0.000001")
_AMOUNTS = ("remaining", "granted", "topped_up", "limit", "used")


class BalanceBeingReadError(DomainError):
    code = "balance_being_read"
    http_status = 409
    is_retryable = True
    message = _("The balance of “%(name)s” is being read at this moment.")
    remedy = _("Look again in a few seconds.")


class BalanceNotToldError(DomainError):
    code = "balance_not_told"
    http_status = 409
    message = _("Nobody tells the balance of “%(name)s”: enter it by hand.")
    remedy = _("Its provider tells a key nothing about money. What calls cost is then taken off.")


class BalanceToldError(DomainError):
    code = "balance_told"
    http_status = 409
    message = _("The balance of “%(name)s” is read from its provider.")
    remedy = _("To enter it by hand, first choose that as where the balance is read from.")


class CurrencyWithoutRateError(DomainError):
    code = "currency_without_rate"
    http_status = 409
    message = _("There is no exchange rate of %(currency)s: what calls cost could not be taken off.")
    remedy = _("Set it first, under Reconciliation, Exchange rates.")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to ask the provider of a channel, until it ends; nobody else has it meanwhile."""

    channel: Channel
    source: str
    metered: int
    """What its calls had cost before it was asked, in billionths of a US dollar."""
    at: datetime
    """When it was given."""
    until: datetime

    @property
    def account(self) -> Account:
        """
        :raises cryptography.fernet.InvalidToken: if SECRET_KEY was replaced and the old one is not known
        """
        return Account(
            base_url=self.channel.base_url,
            key=self.channel.get_key(),
            admin=self.channel.get_balance_access(),
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a provider told nothing."""

    error: BalanceUnavailableError | BalanceRefusedError

    @property
    def is_refused(self) -> bool:
        return isinstance(self.error, BalanceRefusedError)


Outcome = Told | Failure


def refresh_balance(*, channel: Channel, at: datetime) -> list[BalanceSnapshot]:
    """Ask the provider now, and keep what it says.

    :returns: the newest snapshot of every kind and currency that it told about
    :raises BalanceBeingReadError: if somebody else is asking
    :raises BalanceUnavailableError: if it could not be asked; what was known before stays
    :raises BalanceRefusedError: if it refuses or is not understood
    :raises BalanceNotToldError: if an operator has to enter the balance, and has not
    """
    mine = claim(channel_id=channel.pk, at=at)
    if mine is None:
        raise BalanceBeingReadError(name=channel.name)
    outcome = ask(mine, at=at)
    snapshots = keep(mine, outcome, at=at)
    if isinstance(outcome, Failure):
        raise outcome.error
    if not snapshots:
        raise BalanceNotToldError(name=channel.name)
    return snapshots


def enter_balance(
    *, actor: User, channel: Channel, remaining: Decimal, currency: str, at: datetime
) -> BalanceSnapshot:
    """Keep what an operator read in the provider's console; what calls cost from now on is taken off.

    :raises BalanceToldError: if the provider itself is asked
    :raises CurrencyWithoutRateError: if nobody said what it is worth: calls could not be taken off
    :raises BalanceBeingReadError: if somebody else is asking
    """
    if channel.source_of_balance != Manual.code:
        raise BalanceToldError(name=channel.name)
    if rate_on(currency, at.date()) is None:
        raise CurrencyWithoutRateError(currency=currency)
    mine = claim(channel_id=channel.pk, at=at)
    if mine is None:
        raise BalanceBeingReadError(name=channel.name)
    reading = Reading(kind=BalanceKind.BALANCE.value, currency=currency, remaining=remaining)  # type: ignore[arg-type]
    with transaction.atomic():
        kept = keep(mine, Told([reading], ""), at=at)
        if not kept:
            raise BalanceBeingReadError(name=channel.name)
        [snapshot] = kept
        changes = audit.differences({}, {"remaining": str(remaining), "currency": currency})
        audit.record(
            action=AuditAction.CHANNEL_BALANCE_ENTERED, actor=actor, subject=channel, changes=changes
        )
    return snapshot


def claim(*, channel_id: int, at: datetime, is_due: bool = False) -> Claim | None:
    """Get the right to ask the provider of a channel.

    :param is_due: only if it is time to ask: somebody else may have done so just now
    :returns: None while somebody else has it, or if there is no such channel
    """
    until = at + CLAIMED_FOR
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=at)
    if is_due:
        free &= Q(due_at__lte=at)
    if not BalancePoll.objects.filter(free, pk=channel_id).update(claimed_until=until, asked_at=at):
        return None
    totals = ChannelTotals.objects.select_related("channel").filter(pk=channel_id).first()
    if totals is None:
        return None
    return Claim(totals.channel, totals.channel.source_of_balance, totals.upstream_cost, at, until)


def ask(claim: Claim, *, at: datetime) -> Outcome:
    """Ask the provider; without the database, so that many can be asked at once."""
    try:
        return read_balance(claim.source, claim.account, now=at)
    except (BalanceUnavailableError, BalanceRefusedError) as exc:
        return Failure(exc)
    except InvalidToken:
        reason = _("The key cannot be decrypted: enter it again.")
        return Failure(BalanceRefusedError(reason=reason))


def keep(claim: Claim, outcome: Outcome, *, at: datetime) -> list[BalanceSnapshot]:
    """Write down what a provider said, compare it with what was metered, and act on it.

    :returns: what is known now, of each kind and currency that was told; empty if the claim was lost
        meanwhile or the provider told nothing
    """
    with transaction.atomic():
        # The channel first, as whoever changes or deletes it locks them.
        channel = Channel.objects.select_for_update().filter(pk=claim.channel.pk).first()
        polls = BalancePoll.objects.select_for_update()
        mine = polls.filter(pk=claim.channel.pk, claimed_until=claim.until).first()
        if channel is None or mine is None:
            logger.warning("billing.balance_claim_lost", channel_id=claim.channel.pk)
            return []
        mine.channel = channel
        if isinstance(outcome, Failure):
            standing.note_failure(mine, outcome.error, is_refused=outcome.is_refused, at=at)
            return []
        before, before_at = newest_snapshots([channel.pk]), mine.answered_at or at
        known = {(row.kind, row.currency): row for row in before if row.source == claim.source}
        snapshots = _snapshots(claim, outcome, known.values(), at)
        kept = [_kept(snapshot, known.get((snapshot.kind, snapshot.currency))) for snapshot in snapshots]
        for snapshot in kept:
            earlier = _compared_with(snapshot, known.get((snapshot.kind, snapshot.currency)))
            if earlier is not None and earlier.pk != snapshot.pk:
                reconciling.reconcile(channel=channel, first=earlier, last=snapshot, at=at)
        mine.told = [row.pk for row in kept]
        standing.note_answer(mine, kept, at=at)
        if _routing(before, before_at) != _routing(kept, at):
            bump_version()
    return kept


def _snapshots(
    claim: Claim, told: Told, before: Iterable[BalanceSnapshot], at: datetime
) -> list[BalanceSnapshot]:
    if not told.readings and claim.source == Manual.code:
        return _drawn_down(claim, before, at)
    rows = [_snapshot(claim, reading) for reading in told.readings]
    for row in rows[:1]:
        row.raw = told.raw
    return rows


def _snapshot(claim: Claim, reading: Reading) -> BalanceSnapshot:
    amounts = {name: _rounded(getattr(reading, name)) for name in _AMOUNTS}
    return BalanceSnapshot(
        channel=claim.channel,
        kind=str(reading.kind),
        source=claim.source,
        currency=reading.currency,
        period=reading.period,
        resets_at=reading.resets_at,
        expires_at=reading.expires_at,
        is_unlimited=reading.is_unlimited,
        is_usable=reading.is_usable,
        is_weak=reading.is_weak,
        metered=claim.metered,
        created_at=claim.at,
        **amounts,
    )


def _drawn_down(claim: Claim, before: Iterable[BalanceSnapshot], at: datetime) -> list[BalanceSnapshot]:
    """What was left by hand or by calculation, less what calls cost since."""
    rows = []
    for row in before:
        if row.kind != BalanceKind.BALANCE or row.source != Manual.code or row.remaining is None:
            continue
        cost = reconciling.in_currency(claim.metered - row.metered, row.currency, at=at)
        if cost is not None:
            reading = Reading(kind=row.kind, currency=row.currency, remaining=row.remaining - cost)  # type: ignore[arg-type]
            rows.append(_snapshot(claim, reading))
            rows[-1].is_estimated = True
    return rows


def _compared_with(snapshot: BalanceSnapshot, earlier: BalanceSnapshot | None) -> BalanceSnapshot | None:
    """The one before it; what an operator enters is compared with what they entered before."""
    if earlier is None or not earlier.is_estimated or snapshot.is_estimated:
        return earlier
    told = BalanceSnapshot.objects.filter(
        channel=snapshot.channel_id,
        source=snapshot.source,
        kind=snapshot.kind,
        currency=snapshot.currency,
        is_estimated=False,
        pk__lt=snapshot.pk,
    )
    return told.order_by("-pk").first()


def _kept(snapshot: BalanceSnapshot, before: BalanceSnapshot | None) -> BalanceSnapshot:
    """The snapshot, saved; the one before it when it says the same and is not old."""
    if before is not None and snapshot.created_at - before.created_at < KEPT_ANYWAY:
        told = [field.name for field in BalanceSnapshot._meta.concrete_fields if field.name not in _UNTOLD]
        if all(getattr(snapshot, name) == getattr(before, name) for name in told):
            return before
    snapshot.save()
    return snapshot


_UNTOLD = ("id", "raw", "created_at")


def _routing(snapshots: Iterable[BalanceSnapshot], at: datetime) -> tuple[bool | None, bool]:
    """What the relay goes by."""
    rows = list(snapshots)
    return has_money(rows, at=at), is_near_limit(rows, at=at)


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(_MICRO)
