"""``{% icon "key" %}``: an inline SVG from static/vendor/tabler-icons."""

from functools import cache
from pathlib import Path

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

FOLDER = Path(__file__).resolve().parents[3] / "static" / "vendor" / "tabler-icons"
FRAME = '<path stroke="none" d="M0 0h24v24H0z" fill="none" />'


@cache
def drawing(name: str) -> SafeString:
    """The inside of an icon's svg element.

    :raises LookupError: if the icon is not vendored
    """
    file = FOLDER / f"{name}.svg"
    if not name.replace("-", "").isalnum() or not file.is_file():
        raise LookupError(f"No icon {name!r}: add it to scripts/icons.txt and run scripts/vendor.py.")
    body = file.read_text().partition(">")[2].rpartition("</svg>")[0].replace(FRAME, "")
    return mark_safe("".join(line.strip() for line in body.splitlines()))  # noqa: S308 - our own vendored file


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Decoration only: hidden from assistive technology, so the text beside it must say it all."""
    return format_html(
        '<svg class="icon{}" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor"'
        ' stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round"'
        ' aria-hidden="true" focusable="false">{}</svg>',
        f" {css}" if css else "",
        drawing(name),
    )
