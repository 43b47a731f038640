"""What a user name, a group and a network may look like."""

import ipaddress
from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

USERNAME_PATTERN = r"^[\w.+-]{1,64}$"
GROUP_PATTERN = r"^[a-z0-9_-]{1,32}$"

validate_username = RegexValidator(
    USERNAME_PATTERN[:-1] + r"\Z", _("Use letters, digits and the signs . + - _ only, at most 64 of them.")
)
USERNAME_VALIDATORS = [validate_username]

validate_group = RegexValidator(
    GROUP_PATTERN[:-1] + r"\Z", _("Use small letters, digits, - and _ only, at most 32.")
)


def validate_expiry(expires_at: datetime | None, *, at: datetime, current: datetime | None = None) -> None:
    """Refuse a time that has passed, unless it is the present one of a key that is being changed."""
    if expires_at is not None and expires_at <= at and expires_at != current:
        raise ValidationError({"expires_at": _("This time has passed; choose a later one.")})


def validate_networks(value: Iterable[str]) -> None:
    """Refuse anything but addresses and CIDR networks, naming the first that is wrong."""
    for network in value:
        try:
            ipaddress.ip_network(network)
        except (ValueError, TypeError) as exc:
            raise ValidationError(
                _("“%(network)s” is not an IP address or a network such as 10.0.0.0/8."),
                params={"network": network},
            ) from exc
