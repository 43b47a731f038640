"""Quota as money: dollars on pages are exact unless a filter says that it rounds."""

from decimal import ROUND_HALF_EVEN, Decimal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from oneapi_admin.lib.quota import format_usd, to_usd

register = template.Library()

CENT = Decimal("0.01")


@register.filter
def usd(amount: int | None) -> str:
    """``$0.01``, ``−$1,234.500002``: two decimals, and as many more as the amount has."""
    return "" if amount is None else format_usd(amount)


@register.filter
def signed_usd(amount: int | None) -> str:
    """As usd, with a plus sign on what comes in."""
    return "" if amount is None else format_usd(amount, signed=True)


@register.filter
def usd_short(amount: int | None) -> str:
    """Rounded to cents, for headline figures; an amount below half a cent shows as ``<$0.01``."""
    if amount is None:
        return ""
    value = to_usd(abs(amount)).quantize(CENT, rounding=ROUND_HALF_EVEN)
    if amount and not value:
        return "<$0.01" if amount > 0 else ">−$0.01"
    return f"{'−' if amount < 0 else ''}${value:,.2f}"


@register.filter
def in_currency(amount: Decimal, currency: str) -> str:
    """``$1,234.50``, ``−0.000001 CNY``: two decimals, and as many more as the amount has."""
    whole, _point, decimals = f"{abs(amount):,.6f}".partition(".")
    number = f"{'−' if amount < 0 else ''}%s{whole}.{decimals[:2]}{decimals[2:].rstrip('0')}"
    return number % "$" if currency == "USD" else f"{number % ''} {currency}"


@register.filter
def nano_usd(amount: int) -> str:
    """Billionths of a US dollar as dollars, exact."""
    return f"${Decimal(amount).scaleb(-9).normalize():f}"


@register.filter
def intcomma_lite(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


@register.filter
def compact(number: int | None) -> str:
    """A count with one decimal: 950, 1.2K, 34M."""
    if number is None:
        return ""
    sign, size = "−" if number < 0 else "", Decimal(abs(number))
    for limit, suffix in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if size >= limit:
            return f"{sign}{f'{size / limit:,.1f}'.removesuffix('.0')}{suffix}"
    return f"{sign}{size}"


@register.simple_tag
def money(amount: int | None, *, signed: bool = False, short: bool = False) -> SafeString:
    """An amount with its units in the tooltip and as a machine-readable value."""
    if amount is None:
        return SafeString('<span class="text-secondary">–</span>')
    text = usd_short(amount) if short else format_usd(amount, signed=signed)
    css = " money-in" if signed and amount > 0 else ""
    title = _("%(units)s quota units") % {"units": f"{amount:,}"}
    return format_html('<data class="money{}" value="{}" title="{}">{}</data>', css, amount, title, text)
