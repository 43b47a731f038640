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
def check_code_export(**_kwargs: Any) -> list[CheckMessage]:
    """Codes that nobody can ever read are of no use."""
    if not settings.CODE_EXPORT_HOURS > 0:
        return [
            checks.Error(
                "CODE_EXPORT_HOURS is not more than 0.",
                hint="It is how long new codes can be downloaded; 24 by default.",
                id="oneapi_admin.E002",
            )
        ]
    return []


@register("oneapi_admin")
def check_debug(**_kwargs: Any) -> list[CheckMessage]:
    """DEBUG shows settings and source to anyone who meets an error page."""
    if settings.DEBUG:
        return [checks.Warning("DEBUG is on.", hint="Unset it outside development.", id="oneapi_admin.W001")]
    return []
