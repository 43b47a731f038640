"""The operators' switches."""

from accounts.models import SiteSettings, User
from accounts.services.permissions import PermissionDeniedError


def is_signup_open() -> bool:
    """Whether people may sign up by themselves."""
    return SiteSettings.objects.filter(is_signup_open=True).exists()


def set_signup_open(*, actor: User, is_open: bool) -> None:
    """Let people sign up by themselves, or not.

    :raises PermissionDeniedError: if the actor is no operator
    """
    if not actor.is_operator:
        raise PermissionDeniedError
    SiteSettings.objects.filter(pk=1).update(is_signup_open=is_open)
