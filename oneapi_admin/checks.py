"""System checks of the settings that an operator can get wrong."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register


@register("oneapi_admin")
def check_secrets(**_kwargs: Any) -> list[CheckMessage]:
    """A short secret key could be guessed, and with it every stored provider key read."""
    if len(settings.SECRET_KEY) < 32:
        return [
            checks.Error(
                "SECRET_KEY is shorter than 32 characters.",
                hint="Generate a random one.",
                id="oneapi_admin.E001",
            )
        ]
    return []


@register("oneapi_admin")
def check_debug(**_kwargs: Any) -> list[CheckMessage]:
    """DEBUG shows settings and source to anyone who meets an error page."""
    if settings.DEBUG:
        return [checks.Warning("DEBUG is on.", hint="Unset it outside development.", id="oneapi_admin.W001")]
    return []
