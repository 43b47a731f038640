"""Rules, and what makes them speak."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts.models import User
from billing.models import (
    Alert,
    AlertAudience,
    AlertKind,
    AlertRule,
    AlertScope,
    BalanceKind,
    Channel,
    LedgerEntry,
)
from billing.services import accounts, calls
from billing.services.alerts import evaluating, rules
from billing.services.alerts.kinds import KINDS
from tests.factories import NOON, admit_request, make_admin, make_snapshot, make_token, settlement

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
USD = 500_000
_WHOLE = {AlertScope.ALL_CHANNELS, AlertScope.ALL_USERS, AlertScope.SITE}


def make_rule(kind: AlertKind, *thresholds: str, at: datetime = NOON, **fields: Any) -> AlertRule:
    """An operators' rule about everything of its kind, unless told otherwise."""
    owner = fields.pop("owner", None)
    scope = next(scope for scope in KINDS[kind].scopes if scope in _WHOLE)
    if "user" in fields:
        scope = AlertScope.USER
    if "channel" in fields:
        scope = AlertScope.CHANNEL
    said = {"name": f"rule of {kind}", "kind": kind, "scope": scope, "thresholds": thresholds, **fields}
    return rules.create_rule(actor=owner, owner=owner, settings=rules.RuleSettings(**said), at=at)


def own_rule(user: User, kind: AlertKind, *thresholds: str, **fields: Any) -> AlertRule:
    return make_rule(kind, *thresholds, owner=user, user=user, audience=AlertAudience.USER, **fields)


def evaluate(at: datetime = NOON) -> int:
    return evaluating.evaluate(at=at)


def raised() -> list[tuple[str, str, str]]:
    """Subject, threshold and value of all alerts, the oldest first."""
    return [
        (alert.subject_name, f"{alert.threshold.normalize():f}", f"{alert.value.normalize():f}")
        for alert in Alert.objects.order_by("pk")
    ]


def episodes() -> list[tuple[int, bool]]:
    """The number of each alert's episode and whether it is still on."""
    return [(alert.episode, alert.is_open) for alert in Alert.objects.order_by("pk")]


def top_up(user: User, quota: int) -> LedgerEntry:
    return accounts.top_up(actor=make_admin(email=""), user=user, quota=quota, at=NOON)


def spend(
    user: User, quota: int, *, channel: Channel | None = None, at: datetime = NOON, **call: Any
) -> None:
    """One call, from its admission to its settlement."""
    made = make_token(user)
    request = admit_request(made, estimate=max(quota, 1))
    calls.admit(requests=[request], at=at)
    channel = channel or Channel(pk=1, name="upstream")
    done = settlement(made, channel, quota=quota, request_id=request.request_id, created_at=at, **call)
    calls.settle(settlements=[done], at=at)


def snapshot(channel: Channel, remaining: str | None = None, *, at: datetime = NOON, **fields: Any) -> None:
    values = {"kind": BalanceKind.BALANCE, "remaining": remaining and Decimal(remaining), **fields}
    make_snapshot(channel=channel, created_at=at, **values)
