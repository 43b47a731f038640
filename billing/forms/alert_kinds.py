"""Kinds of rules as their forms explain them, and thresholds as people type them."""

import re
from collections.abc import Sequence
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import AlertKind, AlertScope
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.readings import Kind, Unit

OF_USERS: Final = frozenset({AlertScope.ALL_USERS, AlertScope.USER})
_NUMBER: Final = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)
_SEPARATORS: Final = re.compile(r"[\s,;，；、%$]+")
_GROUPED: Final = re.compile(r"\d,\d{3}(?!\d)", re.ASCII)
UNITS: Final[dict[Unit, str | Promise]] = {
    Unit.PERCENT: "%",
    Unit.USD: "US$",
    Unit.CURRENCY: gettext_lazy("in the account's currency"),
    Unit.HOURS: gettext_lazy("hours"),
    Unit.COUNT: gettext_lazy("holds and deliveries"),
    Unit.YES: "",
}
MEANINGS: Final[dict[AlertKind, str | Promise]] = {
    AlertKind.QUOTA_USED: gettext_lazy("How much of what was there after the last top-up is used."),
    AlertKind.TOKEN_LIMIT_USED: gettext_lazy("How much of a token's own limit is used."),
    AlertKind.BALANCE_BELOW: gettext_lazy("What a user still has here."),
    AlertKind.CHANNEL_BALANCE_BELOW: gettext_lazy("What a prepaid account with a provider still holds."),
    AlertKind.CHANNEL_LIMIT_USED: gettext_lazy(
        "How much of a provider's spend limit or of a key's budget is used."
    ),
    AlertKind.FORECAST_BELOW: gettext_lazy(
        "How long what is left will last, if spending goes on as it used to."
    ),
    AlertKind.ERROR_RATE: gettext_lazy("How many of a channel's calls failed in the last sixty minutes."),
    AlertKind.COST_PER_HOUR: gettext_lazy("What the calls of the last sixty minutes cost."),
    AlertKind.DRIFT: gettext_lazy("How far what a provider took is from what was metered here."),
    AlertKind.CHANNEL_DISABLED: gettext_lazy("An account that was used up took its channel out of service."),
    AlertKind.CODE_ATTACK: gettext_lazy("Somebody tries redemption codes that do not exist."),
    AlertKind.AUDIT_FAILED: gettext_lazy("The nightly proof of the ledger found something."),
    AlertKind.BACKLOG: gettext_lazy("Holds and deliveries that nobody dealt with when it was time."),
}
_GROUPS: Final[tuple[tuple[str | Promise, frozenset[AlertScope]], ...]] = (
    (gettext_lazy("Users' quota"), OF_USERS),
    (gettext_lazy("Channels and providers"), frozenset({AlertScope.ALL_CHANNELS, AlertScope.CHANNEL})),
    (gettext_lazy("The installation"), frozenset({AlertScope.SITE})),
)


def grouped(kinds: Sequence[AlertKind]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Kinds as choices, each in the first group that one of its scopes belongs to."""
    groups: list[tuple[str, list[tuple[str, str]]]] = [(str(label), []) for label, _scopes in _GROUPS]
    for code in kinds:
        first = KINDS[code].scopes[0]
        place = next(index for index, (_label, scopes) in enumerate(_GROUPS) if first in scopes)
        groups[place][1].append((code.value, str(code.label)))
    return [group for group in groups if group[1]]


def told_when(kind: Kind) -> str:
    if kind.is_above:
        return _("Told when it rises to a number; several with spaces between, each told for itself.")
    return _("Told when it falls to a number; several with spaces between, each told for itself.")


def numbers(text: str, unit: Unit) -> list[str]:
    """What was typed as several numbers, with or without units.

    :raises ValidationError: if one of them is none, or may be meant as one or as two
    """
    if unit != Unit.PERCENT and _GROUPED.search(text):
        raise ValidationError(_("Write large numbers without commas, and spaces between several thresholds."))
    texts = [part for part in _SEPARATORS.split(text) if part]
    if not all(_NUMBER.fullmatch(part) for part in texts):
        raise ValidationError(_("Enter numbers such as 80 or 0.5, with spaces between them."))
    return texts
