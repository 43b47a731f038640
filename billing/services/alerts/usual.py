"""The rules that an installation begins with."""

from datetime import datetime
from typing import Final

from django.db import transaction

from accounts.models import User
from billing.models import AlertAudience, AlertKind, AlertRule, AlertScope
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.locking import lock_owner
from billing.services.alerts.rules import RuleSettings, create_rule

_KINDS: Final = (
    AlertKind.CHANNEL_DISABLED,
    AlertKind.CHANNEL_LIMIT_USED,
    AlertKind.FORECAST_BELOW,
    AlertKind.DRIFT,
    AlertKind.AUDIT_FAILED,
    AlertKind.BACKLOG,
)
_CRITICAL: Final = (AlertKind.CHANNEL_DISABLED, AlertKind.AUDIT_FAILED)
_THRESHOLDS: Final = {AlertKind.BACKLOG: ("10",)}
"""Where those of the kind are not meant for everybody."""


def create_usual_rules(*, actor: User | None, at: datetime) -> list[AlertRule]:
    """Make the operators' rules that nobody should be without, but none of a kind that they have.

    They are told by mail and by webhooks; the names are in the active language.

    :raises PermissionDeniedError: if the actor is no operator
    :raises TooManyRulesError: if there would be too many
    """
    with transaction.atomic():
        lock_owner(None)
        return [create_rule(actor=actor, settings=_usual(kind), at=at) for kind in missing_kinds()]


def missing_kinds() -> list[AlertKind]:
    """The kinds of usual rules of which the operators have none."""
    present = set(AlertRule.objects.filter(owner=None).values_list("kind", flat=True))
    return [kind for kind in _KINDS if kind not in present]


def create_first_rule(*, user: User, at: datetime) -> AlertRule:
    """Make the rule that people begin with, unless they watch already how much of their quota is used.

    :raises TooManyRulesError: if there would be too many
    """
    watching = AlertRule.objects.filter(owner=user, kind=AlertKind.QUOTA_USED)
    with transaction.atomic():
        lock_owner(user)
        return watching.order_by("pk").first() or create_rule(
            actor=user, owner=user, settings=_first(user), at=at
        )


def _usual(kind: AlertKind) -> RuleSettings:
    thresholds = _THRESHOLDS.get(kind, KINDS[kind].default_thresholds)
    scope = AlertScope.SITE if AlertScope.SITE in KINDS[kind].scopes else AlertScope.ALL_CHANNELS
    return RuleSettings(
        name=str(kind.label),
        kind=kind,
        scope=scope,
        thresholds=thresholds,
        critical_thresholds=thresholds if kind in _CRITICAL else (),
        tells_recovery=True,
    )


def _first(user: User) -> RuleSettings:
    return RuleSettings(
        name=str(AlertKind.QUOTA_USED.label),
        kind=AlertKind.QUOTA_USED,
        scope=AlertScope.USER,
        user=user,
        thresholds=("80",),
        audience=AlertAudience.USER,
    )
