"""What an upstream address may look like."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

_URL_CHARACTERS = re.compile(r"[!-~]+", re.ASCII)


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
