"""Comparing values with the thresholds of rules.

What is known of alerts is read before the values are: an alert that somebody else ended meanwhile ended for
a value that is older than the one at hand, and one that somebody else raised meanwhile has taken the episode.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple

import structlog
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from billing.models import (
    Alert,
    AlertKind,
    AlertRule,
    AlertScope,
    AlertSubject,
    BalanceSnapshot,
    LedgerEntry,
)
from billing.services.alerts import levels
from billing.services.alerts.feeds import close_feed, open_feed
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.locking import lock
from billing.services.alerts.raising import Begin, Change, End, write
from billing.services.alerts.readings import Kind, Look, Reading, ReadUsers
from billing.services.alerts.upstream import watched_channels

logger = structlog.get_logger(__name__)

_USERS_AT_ONCE: Final = 500
_OF_USERS: Final = (AlertScope.ALL_USERS, AlertScope.USER)
_FINEST: Final = Decimal("0.000001")


class _Key(NamedTuple):
    rule_id: int
    subject_type: str
    subject_id: int
    threshold: Decimal


@dataclass(frozen=True, slots=True)
class _State:
    """The newest episode of a subject at a threshold."""

    episode: int = 0
    open_id: int | None = None
    period: str = ""


_States = Mapping[_Key, _State]


def evaluate(*, at: datetime) -> int:
    """Raise alerts for what crossed a threshold, end those that recovered.

    Any number of processes may do so at the same moment: the database lets each episode begin once.

    :returns: how many were raised
    """
    look = Look(
        at=at,
        entries=open_feed("entries", LedgerEntry.objects.all()),
        snapshots=open_feed("snapshots", BalanceSnapshot.objects.all()),
    )
    levels.follow(look.entries)
    fresh = list(_enabled().filter(evaluated_at__isnull=True).values_list("pk", "changed_at"))
    moved = _Moved(look)
    raised, is_complete = 0, True
    for code, kind in KINDS.items():
        try:
            raised += _evaluate(code, kind, look, moved)
        except Exception:
            logger.exception("billing.alerts_not_evaluated", kind=code.value)
            is_complete = False
    _end_of_unwatched(look)
    if is_complete:
        for rule_id, changed_at in fresh:  # but not those that were changed again meanwhile
            _enabled().filter(pk=rule_id, changed_at=changed_at).update(evaluated_at=at)
        close_feed(look.entries, at=at)
        close_feed(look.snapshots, at=at)
    return raised


class _Moved:
    """The accounts with entries since the last look, read when the first rule asks for them."""

    def __init__(self, look: Look) -> None:
        self._entries = LedgerEntry.objects.filter(pk__gt=look.entries.after)
        self._accounts: list[int] | None = None

    def accounts(self) -> list[int]:
        if self._accounts is None:
            found = self._entries.order_by().values_list("account_id", flat=True).distinct()
            self._accounts = sorted(found)
        return self._accounts


def _enabled() -> QuerySet[AlertRule]:
    return AlertRule.objects.filter(is_enabled=True)


def _evaluate(code: AlertKind, kind: Kind, look: Look, moved: _Moved) -> int:
    rules = _enabled().filter(kind=code)
    if kind.every_s:
        rules = rules.filter(
            Q(evaluated_at__isnull=True) | Q(evaluated_at__lte=look.at - timedelta(seconds=kind.every_s))
        )
    raised = 0
    of_others = list(rules.exclude(scope__in=_OF_USERS)) if kind.read is not None else []
    if kind.read is not None and of_others:
        states = _states(of_others)
        raised += write(_changes(kind, of_others, states, kind.read(look, of_others)), at=look.at)
        _note_turn(kind, of_others, look.at)
    if kind.read_users is not None and rules.filter(scope__in=_OF_USERS).exists():
        raised += _evaluate_users(kind, kind.read_users, rules, look, moved)
    return raised


def _evaluate_users(
    kind: Kind, read: ReadUsers, rules: QuerySet[AlertRule], look: Look, moved: _Moved
) -> int:
    """Look at the people whose quota moved, at those whom a new rule is about, and at those who recover
    as time goes by; never at everybody."""
    of_all = list(rules.filter(scope=AlertScope.ALL_USERS))
    user_ids = {*moved.accounts(), *_of_fresh(rules)}
    if kind.is_decaying:
        still_open = Alert.objects.filter(rule__in=rules, resolved_at__isnull=True, user__isnull=False)
        user_ids |= set(still_open.values_list("user_id", flat=True))
    raised, waiting = 0, iter(sorted(user_ids))
    while portion := list(islice(waiting, _USERS_AT_ONCE)):
        of_one = list(rules.filter(scope=AlertScope.USER, user__in=portion))
        if not of_all:
            portion = sorted({rule.user_id for rule in of_one if rule.user_id is not None})
        if portion:
            concerned = [*of_all, *of_one]
            states = _states(concerned, portion)
            raised += write(_changes(kind, concerned, states, read(look, portion)), at=look.at)
            _note_turn(kind, of_one, look.at)
    _note_turn(kind, of_all, look.at)
    return raised


def _of_fresh(rules: QuerySet[AlertRule]) -> list[int]:
    fresh = rules.filter(scope=AlertScope.USER, evaluated_at__isnull=True)
    return [user_id for user_id in fresh.values_list("user_id", flat=True) if user_id is not None]


def _note_turn(kind: Kind, rules: Sequence[AlertRule], at: datetime) -> None:
    """Where it is costly to look, the next turn is later."""
    if kind.every_s:
        for rule in rules:  # but not those that were changed meanwhile
            _enabled().filter(pk=rule.pk, changed_at=rule.changed_at).update(evaluated_at=at)


# --- What is known of alerts ------------------------------------------------------------------


def _states(rules: Sequence[AlertRule], user_ids: Sequence[int] | None = None) -> _States:
    """The newest episodes of rules; with ``user_ids`` only of what is about them."""
    alerts = Alert.objects.filter(rule__in=rules)
    if user_ids is not None:
        alerts = alerts.filter(user__in=user_ids)
    is_open = Q(resolved_at__isnull=True)
    rows = alerts.order_by().values_list("rule_id", "subject_type", "subject_id", "threshold")
    newest = rows.annotate(
        newest=Max("episode"),
        open_id=Max("pk", filter=is_open),
        open_period=Max("period", filter=is_open),
    )
    return {_Key(*key): _State(episode, open_id, period or "") for *key, episode, open_id, period in newest}


def _changes(
    kind: Kind, rules: Sequence[AlertRule], states: _States, readings: Iterable[Reading]
) -> Iterator[Change]:
    of_all = [rule for rule in rules if rule.scope not in (AlertScope.USER, AlertScope.CHANNEL)]
    of_one: dict[int | None, list[AlertRule]] = {}
    for rule in rules:
        if rule.scope in (AlertScope.USER, AlertScope.CHANNEL):
            of_one.setdefault(rule.user_id or rule.channel_id, []).append(rule)
    for reading in readings:
        subject = reading.subject_id if reading.user_id is None else reading.user_id
        for rule in [*of_all, *of_one.get(subject, [])]:
            for threshold in map(Decimal, rule.thresholds):
                key = _Key(rule.pk, reading.subject_type, reading.subject_id, threshold)
                yield from _change(kind, rule, threshold, states.get(key, _State()), reading)


def _change(
    kind: Kind, rule: AlertRule, threshold: Decimal, state: _State, reading: Reading
) -> Iterator[Change]:
    """What a value means for one threshold: an alert begins, or one ends, or both, or mostly neither."""
    is_beyond = kind.is_beyond(reading.value, threshold)
    if state.open_id is not None:
        is_over = kind.has_recovered(reading.value, threshold)
        if not is_over and state.period == reading.period:
            return
        yield End(alert_id=state.open_id, value=reading.value.quantize(_FINEST))
    is_founded = reading.calls is None or reading.calls >= rule.minimum_calls
    if is_beyond and is_founded:
        yield Begin(
            rule=rule,
            reading=reading,
            threshold=threshold,
            value=reading.value.quantize(_FINEST),
            episode=state.episode + 1,
        )


def _end_of_unwatched(look: Look) -> None:
    """End what is about channels that nobody looks at any more, and tell nobody."""
    of_channels = Alert.objects.filter(subject_type=AlertSubject.CHANNEL, resolved_at__isnull=True)
    unwatched = of_channels.exclude(subject_id__in=watched_channels().order_by().values("pk"))
    with transaction.atomic():
        lock(unwatched)
        unwatched.update(resolved_at=look.at)
