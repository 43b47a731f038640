"""Asking the providers of all channels in turn, many at once but no host too often."""

from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import structlog
from django.db.models import F, Q
from django.utils import timezone

from billing.models import BalancePoll, ChannelStatus
from billing.services.balances import Claim, Outcome, ask, claim, keep

logger = structlog.get_logger(__name__)

HURRIED_EVERY = timedelta(minutes=1)
"""No channel's provider is asked sooner after the last time because calls are refused."""
AT_ONCE = 32
AT_ONCE_EACH_HOST = 4
_ASKED = (ChannelStatus.ENABLED, ChannelStatus.AUTO_DISABLED)
"""Who was disabled for want of money has to be asked whether there is some again."""


@dataclass(slots=True)
class _Round:
    """Channels that wait to be asked, by host, and how many of each host are being asked."""

    waiting: dict[str, deque[int]]
    busy: Counter[str] = field(default_factory=Counter)

    def next(self) -> tuple[str, int] | None:
        """A channel whose host has room, of the host that has most waiting: it takes longest."""
        free = [host for host in self.waiting if self.busy[host] < AT_ONCE_EACH_HOST]
        if not free:
            return None
        host = max(free, key=lambda name: len(self.waiting[name]))
        channel_id = self.waiting[host].popleft()
        if not self.waiting[host]:
            del self.waiting[host]
        return host, channel_id


def ask_due(*, at: datetime) -> int:
    """Ask the providers of all channels that are due; any number of processes may do so at the same time.

    A channel is claimed by one of them. Whoever dies leaves its claims to end by themselves.

    :returns: how many were asked
    """
    if BalancePoll.objects.filter(claimed_until__gt=at, due_at__lte=at).count() >= AT_ONCE_EACH_HOST:
        return 0  # a round is under way: another one would ask the same hosts, and keep another worker busy
    due = BalancePoll.objects.filter(
        Q(claimed_until__isnull=True) | Q(claimed_until__lte=at), due_at__lte=at, channel__status__in=_ASKED
    )
    return _ask_all(list(due.order_by("due_at", "pk").values_list("pk", "channel__base_url")))


def ask_channels(channel_ids: Sequence[int] | None = None) -> int:
    """Ask the providers of some channels now, or of all that are not disabled by hand.

    :returns: how many were asked; those that somebody else is asking at this moment are not among them
    """
    polls = BalancePoll.objects.order_by("pk")
    found = (
        polls.filter(channel__status__in=_ASKED) if channel_ids is None else polls.filter(pk__in=channel_ids)
    )
    return _ask_all(list(found.values_list("pk", "channel__base_url")), is_due=False)


def ask_soon(*, channel_id: int, at: datetime) -> bool:
    """Have a provider asked with the next round, as it told a call that there is nothing left.

    One that could not be asked the last time is left in peace until it is due, and one that refuses
    altogether.

    :returns: whether that is sooner than it would have been
    """
    polls = BalancePoll.objects.filter(pk=channel_id, is_refused=False, failures=0)
    known = polls.values("asked_at").first()
    if known is None:
        return False
    due_at = at
    if known["asked_at"] is not None:
        due_at = max(at, known["asked_at"] + HURRIED_EVERY)
    return bool(polls.filter(due_at__gt=due_at).update(due_at=due_at))


def _ask_all(channels: Sequence[tuple[int, str]], *, is_due: bool = True) -> int:
    waiting: dict[str, deque[int]] = {}
    for channel_id, base_url in channels:
        waiting.setdefault(urlsplit(base_url).netloc.lower(), deque()).append(channel_id)
    the_round, asked = _Round(waiting), 0
    asking: dict[Future[Outcome], tuple[str, Claim]] = {}
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        while the_round.waiting or asking:
            while len(asking) < AT_ONCE and (found := the_round.next()):
                host, channel_id = found
                mine = claim(channel_id=channel_id, at=timezone.now(), is_due=is_due)
                if mine is not None:
                    the_round.busy[host] += 1
                    asking[pool.submit(ask, mine, at=timezone.now())] = host, mine
            if not asking:
                continue
            done, _others = wait(asking, return_when=FIRST_COMPLETED)
            future = done.pop()  # one at a time, so that another one is asked while this answer is kept
            host, mine = asking.pop(future)
            the_round.busy[host] -= 1
            _keep(mine, future)
            asked += 1
    return asked


def _keep(mine: Claim, asked: Future[Outcome]) -> None:
    """Keep an answer; whatever is wrong with it must not take the others with it."""
    try:
        keep(mine, asked.result(), at=timezone.now())
    except Exception:
        logger.exception("billing.balance_not_kept", channel_id=mine.channel.pk)
        later = timezone.now() + timedelta(minutes=mine.channel.balance_minutes)
        mine_still = BalancePoll.objects.filter(pk=mine.channel.pk, claimed_until=mine.until)
        mine_still.update(due_at=later, claimed_until=None, failures=F("failures") + 1)
