"""What alerts say, in the language of whoever reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from billing.models import (
    Alert,
    AlertDelivery,
    AlertEvent,
    AlertKind,
    AlertSeverity,
    AlertSubject,
    DisabledReason,
)
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.readings import Unit

_LISTED: Final = 20
"""Alerts that one message describes; of more it says how many."""

_FACTS: Final[dict[str, str | Promise]] = {
    AlertKind.QUOTA_USED: gettext_lazy("%(subject)s has used %(value)s of the quota"),
    AlertKind.TOKEN_LIMIT_USED: gettext_lazy("Token “%(subject)s” has used %(value)s of its quota limit"),
    AlertKind.BALANCE_BELOW: gettext_lazy("%(subject)s has %(value)s of quota left"),
    AlertKind.CHANNEL_BALANCE_BELOW: gettext_lazy(
        "Channel “%(subject)s” has %(value)s left with its provider"
    ),
    AlertKind.CHANNEL_LIMIT_USED: gettext_lazy(
        "Channel “%(subject)s” has used %(value)s of its provider's limit"
    ),
    AlertKind.FORECAST_BELOW: gettext_lazy("%(subject)s is expected to run out in %(value)s"),
    AlertKind.ERROR_RATE: gettext_lazy(
        "Channel “%(subject)s”: %(value)s of the calls of the last hour failed"
    ),
    AlertKind.COST_PER_HOUR: gettext_lazy("%(subject)s: the calls of the last hour cost %(value)s"),
    AlertKind.DRIFT: gettext_lazy(
        "Channel “%(subject)s”: provider and metering are %(value)s apart (%(drift)s %(currency)s)"
    ),
    AlertKind.CHANNEL_DISABLED: gettext_lazy("Channel “%(subject)s” disabled itself: %(reason)s"),
    AlertKind.CODE_ATTACK: gettext_lazy("Somebody is guessing redemption codes"),
    AlertKind.AUDIT_FAILED: gettext_lazy("The audit of the ledger found something: %(invariants)s"),
    AlertKind.BACKLOG: gettext_lazy("%(value)s holds and deliveries are overdue"),
}
_ADVICE: Final[dict[str, str | Promise]] = {
    AlertKind.QUOTA_USED: gettext_lazy("Top up the account before its calls are refused."),
    AlertKind.TOKEN_LIMIT_USED: gettext_lazy("Raise the token's limit before its calls are refused."),
    AlertKind.BALANCE_BELOW: gettext_lazy("Top up the account before its calls are refused."),
    AlertKind.CHANNEL_BALANCE_BELOW: gettext_lazy(
        "Recharge the account with the provider; an empty one is disabled until then."
    ),
    AlertKind.CHANNEL_LIMIT_USED: gettext_lazy(
        "Raise the limit with the provider, or have other channels ready until it begins again."
    ),
    AlertKind.FORECAST_BELOW: gettext_lazy("Recharge or top up in time, or find out what uses so much."),
    AlertKind.ERROR_RATE: gettext_lazy("Test the channel; its page says what the provider answers."),
    AlertKind.COST_PER_HOUR: gettext_lazy("Look at which model and whose calls they are."),
    AlertKind.DRIFT: gettext_lazy(
        "Compare the interval with the provider's own list: a price may be wrong, or its key used elsewhere."
    ),
    AlertKind.CHANNEL_DISABLED: gettext_lazy(
        "Recharge the account or raise its limit: the channel is enabled again by itself."
    ),
    AlertKind.CODE_ATTACK: gettext_lazy(
        "The health page lists the accounts: disable those that you do not trust."
    ),
    AlertKind.AUDIT_FAILED: gettext_lazy("Run “manage.py audit_ledger” and look at the rows it names."),
    AlertKind.BACKLOG: gettext_lazy("See that the worker and the beat process are running."),
}
_ADVICE_TO_SELF: Final[dict[str, str | Promise]] = {
    AlertKind.QUOTA_USED: gettext_lazy("Redeem a code or ask an operator for quota: without it calls fail."),
    AlertKind.BALANCE_BELOW: gettext_lazy(
        "Redeem a code or ask an operator for quota: without it calls fail."
    ),
}


@dataclass(frozen=True, slots=True)
class Message:
    """What one receiver is sent."""

    title: str
    body: str


def message(deliveries: Sequence[AlertDelivery], *, language: str, reader_id: int | None) -> Message:
    """Describe alerts, one or many.

    :param language: of the reader; the installation's where it is not known
    :param reader_id: who reads it, where that is one person
    """
    known = dict(settings.LANGUAGES)
    with translation.override(language if language in known else settings.LANGUAGE_CODE):
        shown = deliveries[:_LISTED]
        paragraphs = [_paragraph(delivery, reader_id) for delivery in shown]
        more = len(deliveries) - len(shown)
        if more:
            paragraphs.append(
                ngettext("And %(count)s more alert.", "And %(count)s more alerts.", more) % {"count": more}
            )
        return Message(_title(deliveries), "\n\n".join(paragraphs) + "\n")


def headline(alert: Alert) -> str:
    """What an alert says, in the active language."""
    kind, facts = KINDS[AlertKind(alert.rule.kind)], alert.facts
    return str(_FACTS[alert.rule.kind]) % {
        **dict.fromkeys(("drift", "currency", "invariants"), ""),
        **facts,
        "subject": alert.subject_name,
        "value": written(alert.value, kind.unit, currency=facts.get("currency", "")),
        "reason": _reason(facts.get("reason", "")),
    }


def advice(alert: Alert, reader_id: int | None) -> str:
    """What the reader can do about it, in the active language."""
    to_self = _ADVICE_TO_SELF if alert.user_id is not None and alert.user_id == reader_id else {}
    return str(to_self.get(alert.rule.kind) or _ADVICE[alert.rule.kind])


def page_about(alert: Alert, reader_id: int | None) -> str:
    """Where the reader can do something about it."""
    if alert.user_id is not None and alert.user_id == reader_id:
        is_token = alert.subject_type == AlertSubject.TOKEN
        return reverse("portal:tokens") if is_token else reverse("portal:overview")
    if alert.user_id is not None:
        return reverse("ops:user-detail", args=[alert.user_id])
    if alert.subject_type == AlertSubject.CHANNEL:
        return reverse("ops:channel-edit", args=[alert.subject_id])
    return reverse("ops:health")


def written(value: Decimal, unit: Unit, *, currency: str = "") -> str:
    """An amount with its unit, in the active language."""
    if unit == Unit.PERCENT:
        return f"{_short(value)} %"
    if unit == Unit.USD:
        return f"${_plain(value, 2 if abs(value) >= 1 else 4)}"
    if unit == Unit.CURRENCY:
        return f"{_plain(value, 2)} {currency}".rstrip()
    if unit == Unit.HOURS:
        return _("%(hours)s h") % {"hours": _short(value)}
    return _plain(value, 0)


def _title(deliveries: Sequence[AlertDelivery]) -> str:
    if len(deliveries) > 1:
        count = len(deliveries)
        return ngettext("%(count)s alert", "%(count)s alerts", count) % {"count": count}
    [delivery] = deliveries
    if delivery.event == AlertEvent.RESOLVED:
        return _("It is over: %(alert)s") % {"alert": headline(delivery.alert)}
    if delivery.alert.severity == AlertSeverity.CRITICAL:
        return _("Critical: %(alert)s") % {"alert": headline(delivery.alert)}
    return headline(delivery.alert)


def _paragraph(delivery: AlertDelivery, reader_id: int | None) -> str:
    alert = delivery.alert
    kind = KINDS[AlertKind(alert.rule.kind)]
    lines = [_title([delivery])]
    if not kind.is_yes_or_no:
        threshold = written(alert.threshold, kind.unit, currency=alert.facts.get("currency", ""))
        lines.append(
            _("Rule “%(rule)s”, threshold %(threshold)s.") % {"rule": alert.rule.name, "threshold": threshold}
        )
    else:
        lines.append(_("Rule “%(rule)s”.") % {"rule": alert.rule.name})
    if delivery.event == AlertEvent.RESOLVED and alert.resolved_at is not None:
        lines.append(_("It lasted from %(begin)s to %(end)s.") % _span(alert))
    else:
        lines.append(_("Noticed at %(time)s.") % {"time": _clock(alert.raised_at)})
        lines.append(advice(alert, reader_id))
    if settings.BASE_URL:
        lines.append(settings.BASE_URL + page_about(alert, reader_id))
    return "\n".join(lines)


def _span(alert: Alert) -> dict[str, str]:
    return {"begin": _clock(alert.raised_at), "end": _clock(alert.resolved_at or alert.raised_at)}


def _reason(code: str) -> str:
    return str(DisabledReason(code).label) if code in DisabledReason.values else _("the reason is not known")


def _clock(at: datetime) -> str:
    return date_format(timezone.localtime(at), "Y-m-d H:i T")


def _short(value: Decimal) -> str:
    return _plain(value, 1).removesuffix(".0")


def _plain(value: Decimal, decimals: int) -> str:
    return f"{value:,.{decimals}f}"
