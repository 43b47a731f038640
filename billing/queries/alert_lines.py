"""Alerts and rules with everything that a page says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings
from django.utils.formats import time_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from billing.models import (
    Alert,
    AlertDestination,
    AlertKind,
    AlertRule,
    AlertSubject,
    Channel,
    DeliveryStatus,
)
from billing.queries.alerts import delivery_counts
from billing.services.alerts import texts
from billing.services.alerts.chat import SERVICES
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.readings import Kind, Unit
from billing.services.alerts.schedule import A_DAY, DIGEST_AT, zone_of

_AN_HOUR = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """An alert as somebody reads it."""

    alert: Alert
    reader: User
    counts: Mapping[str, int]
    url: str
    """Where the reader can do something about it; empty where the subject is gone, or not theirs to see."""

    @property
    def headline(self) -> str:
        return texts.headline(self.alert)

    @property
    def advice(self) -> str:
        return texts.advice(self.alert, self.reader.pk)

    @property
    def threshold(self) -> str:
        """With its unit; empty where there is nothing to compare with."""
        return "" if self._kind.is_yes_or_no else self._written(self.alert.threshold)

    @property
    def value(self) -> str:
        """With its unit, when it was raised; empty where a number says nothing."""
        return "" if self._kind.is_yes_or_no else self._written(self.alert.value)

    @property
    def resolved_value(self) -> str:
        """The same when it was over; empty also where nobody looked any more."""
        value = self.alert.resolved_value
        return "" if value is None or self._kind.is_yes_or_no else self._written(value)

    @property
    def delivered(self) -> int:
        return self.counts.get(DeliveryStatus.DELIVERED, 0)

    @property
    def pending(self) -> int:
        return self.counts.get(DeliveryStatus.PENDING, 0)

    @property
    def failed(self) -> int:
        return self.counts.get(DeliveryStatus.FAILED, 0)

    @property
    def _kind(self) -> Kind:
        return KINDS[AlertKind(self.alert.rule.kind)]

    def _written(self, value: Decimal) -> str:
        return texts.written(value, self._kind.unit, currency=self.alert.facts.get("currency", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """A rule in words."""

    rule: AlertRule

    @property
    def thresholds(self) -> list[tuple[str, bool]]:
        """Each with its unit, and whether it is critical."""
        unit = KINDS[AlertKind(self.rule.kind)].unit
        critical = self.rule.critical_thresholds
        if unit == Unit.YES:
            return [("", bool(critical))]
        return [(_with_unit(text, unit), text in critical) for text in self.rule.thresholds]

    @property
    def is_above(self) -> bool:
        return KINDS[AlertKind(self.rule.kind)].is_above

    @property
    def receivers(self) -> list[str]:
        """By what it tells; nothing at all if it tells nobody."""
        ways = [_("e-mail")] if self.rule.is_mailed else []
        ways += [_("webhooks")] if self.rule.is_sent_to_webhooks and self.rule.owner_id is None else []
        return [*ways, *(destination.name for destination in self.rule.destinations.all())]

    @property
    def times(self) -> list[str]:
        """When it does not tell at once."""
        rule, said = self.rule, []
        if rule.quiet_from is not None and rule.quiet_until is not None:
            said.append(
                _("quiet from %(begin)s to %(end)s (%(zone)s)")
                % {
                    "begin": time_format(rule.quiet_from, "H:i"),
                    "end": time_format(rule.quiet_until, "H:i"),
                    "zone": zone_of(rule),
                }
            )
        return [*said, *_digest(rule)]


def alert_lines(alerts: Sequence[Alert], *, reader: User, is_own: bool = False) -> list[AlertLine]:
    """Alerts as an operator reads them or, ``is_own``, as anybody does who is told of them."""
    counts = delivery_counts(alerts, reader=reader if is_own else None)
    hidden = set() if is_own else _without_page(alerts, reader)
    return [
        AlertLine(
            alert=alert,
            reader=reader,
            counts=counts.get(alert.pk, {}),
            url="" if alert.pk in hidden else texts.page_about(alert, reader.pk),
        )
        for alert in alerts
    ]


def _without_page(alerts: Sequence[Alert], reader: User) -> set[int]:
    """The alerts about channels that were deleted, and about people whom an operator may not see."""
    channels = {alert.subject_id for alert in alerts if alert.subject_type == AlertSubject.CHANNEL}
    there = set(Channel.objects.filter(pk__in=channels).values_list("pk", flat=True))
    people = {alert.user_id for alert in alerts if alert.user_id is not None}
    seen = set(User.objects.visible_to(reader).filter(pk__in=people).values_list("pk", flat=True))
    return {
        alert.pk
        for alert in alerts
        if (alert.subject_type == AlertSubject.CHANNEL and alert.subject_id not in there)
        or (alert.user_id is not None and alert.user_id not in seen)
    }


def _with_unit(text: str, unit: Unit) -> str:
    """A threshold as it was entered."""
    if unit == Unit.PERCENT:
        return f"{text} %"
    if unit == Unit.USD:
        return f"${text}"
    return _("%(hours)s h") % {"hours": text} if unit == Unit.HOURS else text


def _digest(rule: AlertRule) -> list[str]:
    minutes = rule.digest_minutes
    if not minutes:
        return []
    if minutes >= A_DAY:
        return [
            _("together every day at %(time)s") % {"time": time_format(rule.digest_at or DIGEST_AT, "H:i")}
        ]
    if minutes == _AN_HOUR:
        return [_("together every hour")]
    return [ngettext("together every %(n)s minute", "together every %(n)s minutes", minutes) % {"n": minutes}]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationLine:
    """A destination with what uses it."""

    destination: AlertDestination

    @property
    def service(self) -> str:
        return str(SERVICES[self.destination.service].title)

    @property
    def language(self) -> str:
        """Of what is sent there."""
        return str(dict(settings.LANGUAGES)[self.destination.language or settings.LANGUAGE_CODE])

    @property
    def rules(self) -> list[str]:
        """The names of the rules that it is told by."""
        return [rule.name for rule in self.destination.rules.all()]
