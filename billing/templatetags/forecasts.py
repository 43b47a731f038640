"""``{% runs_out forecast at %}``: when something runs out, in words."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from billing.forecast_words import runs_out_text
from billing.forecasting import Forecast

register = template.Library()

SOON = timedelta(days=1)


@register.simple_tag
def runs_out(forecast: Forecast | None, at: datetime) -> SafeString:
    """A sentence with the points in time in its tooltip, marked when it is soon; nothing when unknown.

    :param at: when the forecast was made
    """
    text = capfirst(runs_out_text(forecast))
    if forecast is None or not text:
        return SafeString("")
    is_soon = forecast.expected is not None and forecast.expected < SOON
    css = " runs-out-soon" if is_soon else ""
    return format_html('<span class="runs-out{}" title="{}">{}</span>', css, _explained(forecast, at), text)


def _explained(forecast: Forecast, at: datetime) -> str:
    """Between which moments it is most likely."""
    if forecast.earliest is None or forecast.latest is None or not forecast.latest:
        return _("If spending goes on as it used to.")
    first, last = (timezone.localtime(at + end) for end in (forecast.earliest, forecast.latest))
    return _("If spending goes on as it used to: eight times of ten from %(first)s to %(last)s.") % {
        "first": date_format(first, "Y-m-d H:i"),
        "last": date_format(last, "Y-m-d H:i"),
    }
