"""Small pieces of the interface that need more than a template: see docs/ui.md."""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms, template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.core.serializers.json import DjangoJSONEncoder
from django.forms.boundfield import BoundField
from django.template.context import Context
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from .icons import icon

register = template.Library()

VARIANTS = {"ok", "warn", "danger", "muted", "info"}
_COUNT = (
    '<span class="ms-auto" hx-get="{}" hx-trigger="load, list-changed from:body" hx-target="this"'
    ' hx-swap="innerHTML"></span>'
)
PLAIN_WIDGETS = (forms.CheckboxInput, forms.RadioSelect, forms.CheckboxSelectMultiple)


@register.simple_tag(takes_context=True)
def nav_item(
    context: Context, name: str, icon_name: str, label: str, active: str = "", count: str = ""
) -> SafeString:
    """A sidebar entry, marked as current on every page whose view name starts with ``active``.

    A section whose URL is not installed has no entry.

    :param count: the name of the URL that says how many things wait there; asked for after the page
    """
    try:
        url = reverse(name)
    except NoReverseMatch:
        return SafeString("")
    match = getattr(context.get("request"), "resolver_match", None)
    current = match is not None and match.view_name.startswith(active or name)
    return format_html(
        '<li><a class="app-nav-link" href="{}"{}>{}<span>{}</span>{}</a></li>',
        url,
        mark_safe(' aria-current="page"') if current else "",
        icon(icon_name),
        label,
        format_html(_COUNT, reverse(count)) if count else "",
    )


@register.simple_tag(takes_context=True)
def tab(context: Context, name: str, label: str) -> SafeString:
    """A link in a row of tabs, marked when it is this page; a page that is not installed has none."""
    try:
        url = reverse(name)
    except NoReverseMatch:
        return SafeString("")
    request = context.get("request")
    current = mark_safe(' aria-current="page"') if request is not None and request.path == url else ""
    return format_html('<a href="{}"{}>{}</a>', url, current, label)


@register.simple_tag
def status(variant: str, text: str) -> SafeString:
    """A state as a dot and words, never as a colour alone."""
    if variant not in VARIANTS:
        raise ValueError(f"Status variant {variant!r} is none of {sorted(VARIANTS)}.")
    return format_html(
        '<span class="state state-{}"><span class="state-dot" aria-hidden="true"></span>{}</span>',
        variant,
        text,
    )


@register.simple_tag
def when(moment: datetime | None, form: str = "minute") -> SafeString:
    """``2026-03-01 14:05`` in the current time zone; ``form`` is date, minute or second."""
    if not moment:  # None, or the empty text of a variable that is not there
        return SafeString('<span class="text-secondary">–</span>')
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    pattern = {"date": "Y-m-d", "minute": "Y-m-d H:i", "second": "Y-m-d H:i:s"}[form]
    return format_html(
        '<time class="num" datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        date_format(local, "Y-m-d H:i:s T"),
        date_format(local, pattern),
    )


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """``3 minutes ago``, with the exact time in the tooltip."""
    if not moment:  # None, or the empty text of a variable that is not there
        return SafeString('<span class="text-secondary">–</span>')
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        date_format(local, "Y-m-d H:i:s T"),
        naturaltime(moment),
    )


@register.simple_tag
def sparkline(values: Sequence[int | float | Decimal], label: str = "", css: str = "") -> SafeString:
    """A line of recent values, drawn on the server; without a label it is decoration."""
    numbers = [float(value) for value in values]
    if len(numbers) <= 1:
        return SafeString("")
    low, high = min(numbers), max(numbers)
    span, step = (high - low) or 1.0, 120 / (len(numbers) - 1)
    floor = 15.0 if high == low else 27.0
    points = " ".join(f"{i * step:.1f},{floor - (n - low) / span * 24:.1f}" for i, n in enumerate(numbers))
    name = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="spark{}" viewBox="0 0 120 30" width="120" height="30" preserveAspectRatio="none" {}>'
        '<polygon class="spark-area" points="0,30 {} 120,30"/>'
        '<polyline class="spark-line" points="{}"/></svg>',
        f" {css}" if css else "",
        name,
        points,
        points,
    )


@register.filter
def widget_kind(field: BoundField) -> str:
    """How components/_field.html lays a field out: check, choices, or control."""
    widget = field.field.widget
    if isinstance(widget, forms.CheckboxInput):
        return "check"
    return "choices" if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple) else "control"


@register.simple_tag
def control(
    field: BoundField, *, autofocus: bool = False, placeholder: str = "", hint: str = ""
) -> SafeString:
    """A form field's input with the classes of the interface, linked to its help and errors."""
    widget = field.field.widget
    base = "form-check-input" if isinstance(widget, PLAIN_WIDGETS) else "form-control"
    if isinstance(widget, forms.Select):
        base = "form-select"
    classes = [base, widget.attrs.get("class", ""), "is-invalid" if field.errors else ""]
    attrs: dict[str, Any] = {"class": " ".join(filter(None, classes))}
    notes = [f"{field.auto_id}_helptext" if hint else "", f"{field.auto_id}_error" if field.errors else ""]
    if any(notes):
        attrs["aria-describedby"] = " ".join(filter(None, notes))
    if autofocus:
        attrs["autofocus"] = True
    if placeholder:
        attrs["placeholder"] = placeholder
    return field.as_widget(attrs=attrs)


@register.filter
def as_json(value: Any) -> str:
    """For scripts to read from an attribute; a script element is lost when htmx swaps what it stands in."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.filter
def initials(name: str) -> str:
    """Up to two letters for an avatar."""
    words = str(name).replace("_", " ").replace(".", " ").replace("-", " ").split()
    return "".join(word[0] for word in words[:2]).upper() or "?"
