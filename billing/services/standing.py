"""What follows from a provider's statement: when it is asked again, and whether its channel serves calls."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from billing.models import (
    BalanceKind,
    BalancePoll,
    BalanceSnapshot,
    Channel,
    ChannelStatus,
    DisabledReason,
)
from billing.services.channels import change_status
from billing.services.snapshots import empty_kind, told_snapshots
from billing.upstream.balances.errors import BalanceRefusedError, BalanceUnavailableError

logger = structlog.get_logger(__name__)

CONFIRMED_AFTER = timedelta(seconds=30)
"""One reading that finds nothing left may be odd: a second one is asked for after this time."""
JITTER_PERCENT = 10
"""Of the time between two questions: providers are not asked by all at the same moment."""
_LONGEST_WAIT = timedelta(hours=6)
_REASONS = {
    BalanceKind.BALANCE: DisabledReason.BALANCE,
    BalanceKind.KEY_BUDGET: DisabledReason.KEY_BUDGET,
    BalanceKind.SPEND: DisabledReason.SPEND_LIMIT,
}


def note_failure(
    poll: BalancePoll, error: BalanceUnavailableError | BalanceRefusedError, *, is_refused: bool, at: datetime
) -> None:
    """The provider told nothing: what it said last stays, and it is asked again later and later.

    A limit that was used up in a period that is over holds no longer, whoever could not be asked.
    """
    poll.failures = min(poll.failures + 1, 1000)
    poll.error, poll.is_refused = str(error)[:500], is_refused
    told = _firm(told_snapshots(poll.told))
    if any(row.has_money is False and row.is_over(at) for row in told) and empty_kind(told, at=at) is None:
        poll.empty_since = None
        _enable(poll.channel)
    wait = _interval(poll.channel) * 2 ** min(poll.failures - 1, 10)
    if is_refused:
        wait = max(wait, timedelta(hours=1))
    asked_for = getattr(error, "retry_after_s", None)
    _ask_again(poll, max(min(wait, _LONGEST_WAIT), timedelta(seconds=asked_for or 0)), at)
    logger.warning("billing.balance_not_read", channel_id=poll.pk, reason=poll.error, failures=poll.failures)


def note_answer(poll: BalancePoll, snapshots: Sequence[BalanceSnapshot], *, at: datetime) -> None:
    """The provider answered: ask again in due time, and disable or enable the channel if that follows.

    :param snapshots: what it told, of each kind and currency
    """
    poll.failures, poll.error, poll.is_refused = 0, "", False
    if snapshots:
        poll.answered_at = at
    kind = empty_kind(_firm(snapshots), at=at)
    if kind is None:
        poll.empty_since = None
        _ask_again(poll, _interval(poll.channel), at)
        _enable(poll.channel)
    elif poll.empty_since is None:
        poll.empty_since = at
        _ask_again(poll, CONFIRMED_AFTER, at)
    else:
        _ask_again(poll, _interval(poll.channel), at)
        if at - poll.empty_since >= CONFIRMED_AFTER / 2:
            _disable(poll.channel, _REASONS[kind])


def _firm(snapshots: Sequence[BalanceSnapshot]) -> list[BalanceSnapshot]:
    """Those that are a reason to disable a channel."""
    return [row for row in snapshots if not (row.is_weak or row.is_estimated)]


def _disable(channel: Channel, reason: DisabledReason) -> None:
    """One that an operator disabled is left alone."""
    if channel.status == ChannelStatus.ENABLED:
        change_status(actor=None, channel_id=channel.pk, status=ChannelStatus.AUTO_DISABLED, reason=reason)


def _enable(channel: Channel) -> None:
    if channel.status == ChannelStatus.AUTO_DISABLED and channel.disabled_reason in DisabledReason.values:
        change_status(actor=None, channel_id=channel.pk, status=ChannelStatus.ENABLED)


def _interval(channel: Channel) -> timedelta:
    return timedelta(minutes=channel.balance_minutes)


def _ask_again(poll: BalancePoll, after: timedelta, at: datetime) -> None:
    percent = random.randint(100 - JITTER_PERCENT, 100 + JITTER_PERCENT)  # noqa: S311  no secret
    poll.due_at = at + after * percent / 100
    poll.claimed_until = None
    poll.save()
