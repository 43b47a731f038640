"""What the address of a provider or of a receiver of webhooks may look like."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

_URL_CHARACTERS = re.compile(r"[!-~]+", re.ASCII)
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
WEBHOOK_URL_PATTERN = (
    rf"^https?://({_LABEL}(\.{_LABEL})*|\[[0-9A-Fa-f:.]{{2,45}}\])(:{_PORT})?([/?][!\x22$-~]*)?$"
)
"""http or https, a host, and neither user name nor fragment; a query is fine, many receivers want one."""


def validate_base_url(url: str) -> None:
    """An http or https address; host names without a dot are fine, as containers have them."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not _URL_CHARACTERS.fullmatch(url):
        raise ValidationError(_("Enter an address such as https://api.openai.com or http://one-api:3000."))
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValidationError(_("Leave out user name, password, query and fragment."))


def validate_webhook_url(url: str) -> None:
    """An http or https address, as :data:`WEBHOOK_URL_PATTERN` says; loopback and private ones are fine."""
    if not re.fullmatch(WEBHOOK_URL_PATTERN, url):
        raise ValidationError(
            _(
                "Enter an address such as https://shop.example.com/hooks or http://127.0.0.1:9000/hooks,"
                " without user name, password or fragment."
            )
        )
