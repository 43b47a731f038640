"""Rules: operators' about everything, and users' own about themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import (
    Alert,
    AlertAudience,
    AlertDestination,
    AlertKind,
    AlertRule,
    AlertScope,
    Channel,
)
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.locking import lock, lock_owner
from billing.services.alerts.permissions import check_may_act_for
from billing.services.alerts.readings import Kind
from billing.services.alerts.schedule import A_DAY
from oneapi_admin.lib.errors import DomainError

MOST: Final = 50
"""Of one user, and of the operators together."""
MOST_THRESHOLDS: Final = 10
_LARGEST: Final = Decimal(10) ** 9
_PLAIN: Final = (
    "name",
    "kind",
    "scope",
    "audience",
    "is_mailed",
    "is_sent_to_webhooks",
    "tells_recovery",
    "minimum_calls",
    "quiet_from",
    "quiet_until",
    "time_zone",
    "digest_minutes",
    "digest_at",
)
_OF_EPISODES: Final = ("scope", "channel_id", "user_id", "thresholds")
"""What alerts are counted by: where one of these changes, all begin anew."""


class TooManyRulesError(DomainError):
    code = "too_many_alert_rules"
    http_status = 409
    message = gettext_lazy("There are %(count)s rules already.")
    remedy = gettext_lazy("Delete one that is not used any more, or give one several thresholds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """What somebody says of a rule."""

    name: str
    kind: str
    scope: str
    thresholds: Sequence[str] = ()
    """The usual ones of the kind if there are none."""
    critical_thresholds: Sequence[str] = ()
    channel: Channel | None = None
    user: User | None = None
    minimum_calls: int = 20
    audience: str = AlertAudience.OPERATORS
    is_mailed: bool = True
    is_sent_to_webhooks: bool = True
    destinations: Sequence[AlertDestination] = field(default_factory=tuple)
    tells_recovery: bool = False
    quiet_from: time | None = None
    quiet_until: time | None = None
    time_zone: str = ""
    digest_minutes: int = 0
    digest_at: time | None = None


def create_rule(
    *,
    actor: User | None,
    settings: RuleSettings,
    at: datetime,
    owner: User | None = None,
    is_enabled: bool = True,
) -> AlertRule:
    """Make a rule.

    A rule about all users is about what moves from now on; all others also about how it stands already.

    :param owner: whose own it is; None for the operators'
    :raises PermissionDeniedError: if the actor is neither the owner nor, of the operators', an operator
    :raises ValidationError: if a field is not valid
    :raises TooManyRulesError: if there are fifty
    """
    check_may_act_for(actor=actor, owner=owner)
    rule = AlertRule(owner=owner, created_by=actor, created_at=at, changed_at=at, is_enabled=is_enabled)
    _apply(rule, settings)
    with transaction.atomic():
        lock_owner(owner)
        count = AlertRule.objects.filter(owner=owner).count()
        if count >= MOST:
            raise TooManyRulesError(count=count)
        rule.save(force_insert=True)
        rule.destinations.set(settings.destinations)
        changes = audit.differences({}, _audited(rule))
        audit.record(action=AuditAction.ALERT_RULE_CREATED, actor=actor, subject=rule, changes=changes)
    return rule


def update_rule(*, actor: User | None, rule: AlertRule, settings: RuleSettings, at: datetime) -> None:
    """Change a rule, but not its kind. Where it is about something else afterwards, its alerts are over.

    :raises PermissionDeniedError: if the actor is neither the owner nor, of the operators', an operator
    :raises ValidationError: if a field is not valid
    """
    check_may_act_for(actor=actor, owner=rule.owner)
    if settings.kind != rule.kind:
        raise ValidationError({"kind": _("Make another rule for this.")})
    with transaction.atomic():
        locked = AlertRule.objects.select_for_update(of=("self",), no_key=True).get(pk=rule.pk)
        before, counted = _audited(locked), [getattr(locked, name) for name in _OF_EPISODES]
        _apply(locked, settings)
        if counted != [getattr(locked, name) for name in _OF_EPISODES]:
            locked.evaluated_at, locked.changed_at = None, at
            _end_alerts(locked, at)
        locked.save()
        locked.destinations.set(settings.destinations)
        changes = audit.differences(before, _audited(locked))
        audit.record(action=AuditAction.ALERT_RULE_UPDATED, actor=actor, subject=locked, changes=changes)
    rule.refresh_from_db()


def set_rule_status(*, actor: User | None, rule: AlertRule, is_enabled: bool, at: datetime) -> None:
    """Enable or disable a rule. One that is disabled has no alerts; enabled again, it begins anew.

    :raises PermissionDeniedError: if the actor is neither the owner nor, of the operators', an operator
    """
    check_may_act_for(actor=actor, owner=rule.owner)
    with transaction.atomic():
        other = AlertRule.objects.filter(pk=rule.pk, is_enabled=not is_enabled)
        if other.update(is_enabled=is_enabled, evaluated_at=None, changed_at=at):
            _end_alerts(rule, at)
            changes = audit.differences({"is_enabled": not is_enabled}, {"is_enabled": is_enabled})
            audit.record(
                action=AuditAction.ALERT_RULE_STATUS_CHANGED, actor=actor, subject=rule, changes=changes
            )
    rule.refresh_from_db()


def delete_rule(*, actor: User | None, rule: AlertRule) -> None:
    """Remove a rule with its alerts and their log; what is pending is never sent.

    :raises PermissionDeniedError: if the actor is neither the owner nor, of the operators', an operator
    """
    check_may_act_for(actor=actor, owner=rule.owner)
    with transaction.atomic():
        list(AlertRule.objects.select_for_update(of=("self",)).filter(pk=rule.pk))  # before its alerts
        lock(_open_alerts(rule))
        if AlertRule.objects.filter(pk=rule.pk).delete()[0]:
            audit.record(action=AuditAction.ALERT_RULE_DELETED, actor=actor, subject=rule)


def _end_alerts(rule: AlertRule, at: datetime) -> None:
    lock(_open_alerts(rule))
    _open_alerts(rule).update(resolved_at=at)


def _open_alerts(rule: AlertRule) -> QuerySet[Alert]:
    return Alert.objects.filter(rule=rule, resolved_at__isnull=True)


# --- What a rule may say ----------------------------------------------------------------------


def _apply(rule: AlertRule, settings: RuleSettings) -> None:
    if settings.kind not in AlertKind.values:
        raise ValidationError({"kind": _("There is no such kind of rule.")})
    kind = KINDS[AlertKind(settings.kind)]
    for name in _PLAIN:
        setattr(rule, name, getattr(settings, name))
    rule.channel, rule.user = settings.channel, settings.user
    rule.thresholds = _thresholds(kind, settings.thresholds)
    rule.critical_thresholds = _critical(rule.thresholds, settings.critical_thresholds)
    problems = _problems_of_scope(rule, kind) | _problems_of_receivers(rule, settings)
    problems |= _problems_of_times(rule)
    if problems:
        raise ValidationError(problems)
    rule.full_clean(exclude=["destinations"])


def _thresholds(kind: Kind, texts: Sequence[str]) -> list[str]:
    """Different numbers in their order, each written in one way."""
    if kind.is_yes_or_no or not texts:
        texts = kind.default_thresholds
    numbers = sorted({_number(text) for text in texts})
    if len(numbers) > MOST_THRESHOLDS:
        raise ValidationError(
            {"thresholds": _("Enter at most %(count)s thresholds.") % {"count": MOST_THRESHOLDS}}
        )
    return [_written(number) for number in numbers]


def _critical(thresholds: Sequence[str], texts: Sequence[str]) -> list[str]:
    critical = [_written(_number(text)) for text in texts]
    if not set(critical) <= set(thresholds):
        raise ValidationError({"critical_thresholds": _("Choose from the thresholds of the rule.")})
    return [threshold for threshold in thresholds if threshold in critical]


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not 0 <= number < _LARGEST or round(number, 6) != number:
        raise ValidationError({"thresholds": _("Enter numbers from 0 on, with at most six decimals.")})
    return number


def _written(number: Decimal) -> str:
    return f"{number.normalize() + 0:f}"


def _problems_of_scope(rule: AlertRule, kind: Kind) -> dict[str, str]:
    problems = {}
    if rule.scope not in kind.scopes:
        problems["scope"] = _("A rule of this kind is not about that.")
    if (rule.scope == AlertScope.CHANNEL) != (rule.channel is not None):
        problems["channel"] = _("Choose a channel if the rule is about one, and only then.")
    if (rule.scope == AlertScope.USER) != (rule.user is not None):
        problems["user"] = _("Choose a user if the rule is about one, and only then.")
    if rule.owner is not None and rule.user != rule.owner:
        problems["user"] = _("Your own rules are about yourself.")
    return problems


def _problems_of_receivers(rule: AlertRule, settings: RuleSettings) -> dict[str, str]:
    problems = {}
    is_of_users = rule.scope in (AlertScope.ALL_USERS, AlertScope.USER)
    if rule.audience != AlertAudience.OPERATORS and not is_of_users:
        problems["audience"] = _("Only operators can be told of this.")
    if rule.owner is not None and rule.audience != AlertAudience.USER:
        problems["audience"] = _("Your own rules tell yourself.")
    if any(destination.owner_id != rule.owner_id for destination in settings.destinations):
        problems["destinations"] = _("Choose from the destinations of whoever the rule belongs to.")
    return problems


def _problems_of_times(rule: AlertRule) -> dict[str, str]:
    problems = {}
    if (rule.quiet_from is None) != (rule.quiet_until is None):
        problems["quiet_until"] = _("Enter both the beginning and the end of the quiet hours.")
    minutes = rule.digest_minutes
    if minutes and (minutes < 0 or A_DAY % minutes):
        problems["digest_minutes"] = _(
            "Enter minutes into which a day can be divided: 15, 60 or 1440 for example."
        )
    return problems


def _audited(rule: AlertRule) -> dict[str, Any]:
    plain = {name: value.isoformat() if isinstance(value, time) else value for name, value in _values(rule)}
    return {
        **plain,
        "thresholds": rule.thresholds,
        "critical_thresholds": rule.critical_thresholds,
        "channel": rule.channel.name if rule.channel else None,
        "user": rule.user.username if rule.user else None,
        "destinations": sorted(destination.name for destination in rule.destinations.all()),
        "is_enabled": rule.is_enabled,
    }


def _values(rule: AlertRule) -> list[tuple[str, Any]]:
    return [(name, getattr(rule, name)) for name in _PLAIN]
