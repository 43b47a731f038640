"""Forecasts in words."""

from datetime import timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.forecasting import Forecast

FARTHEST = timedelta(weeks=4)
"""What takes longer is not told in days."""
_MOST = 99
"""Of a unit, because another of its kind stands beside it."""
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def runs_out_text(forecast: Forecast | None) -> str:
    """``runs out in about 2 h (1–4 h)``; empty when nothing is known."""
    if forecast is None:
        return ""
    expected = _told(forecast.expected)
    earliest, latest = (_told(end, expected) for end in (forecast.earliest, forecast.latest))
    if expected is None:
        if earliest is None:
            return _("lasts longer than 4 weeks")
        return _("runs out in %(least)s at the earliest") % {"least": earliest.text}
    if not forecast.expected:
        return _("has run out")
    if earliest is None or earliest == latest:
        return _("runs out in about %(about)s") % {"about": expected.text}
    return _("runs out in about %(about)s (%(span)s)") % {
        "about": expected.text,
        "span": _span(earliest, latest),
    }


class _Duration(NamedTuple):
    number: int
    unit: timedelta

    @property
    def text(self) -> str:
        if self.unit == _MINUTE:
            return _("%(number)s min") % {"number": self.number}
        if self.unit == _HOUR:
            return _("%(number)s h") % {"number": self.number}
        return ngettext("%(number)s day", "%(number)s days", self.number) % {"number": self.number}


def _told(duration: timedelta | None, beside: _Duration | None = None) -> _Duration | None:
    """As exactly as it makes sense, in the unit beside it if that fits; None beyond what is told."""
    if duration is None or duration > FARTHEST:
        return None
    if beside is not None and 3 * beside.unit <= 4 * duration and duration <= _MOST * beside.unit:
        unit = beside.unit
    elif duration < 57 * _MINUTE:
        unit = _MINUTE
    else:
        unit = _HOUR if duration < 2 * _DAY else _DAY
    number = max(round(duration / unit), 1)
    if unit == _MINUTE and number > 10:
        number = 5 * round(number / 5)
    return _Duration(number, unit)


def _span(earliest: _Duration, latest: _Duration | None) -> str:
    if latest is None:
        return _("%(least)s or longer") % {"least": earliest.text}
    ends = {"low": earliest.number, "high": latest.number}
    if earliest.unit != latest.unit:
        return _("%(low)s to %(high)s") % {"low": earliest.text, "high": latest.text}
    if latest.unit == _MINUTE:
        return _("%(low)s–%(high)s min") % ends
    if latest.unit == _HOUR:
        return _("%(low)s–%(high)s h") % ends
    return ngettext("%(low)s–%(high)s day", "%(low)s–%(high)s days", latest.number) % ends
