"""The operators' switches."""

from django.db import transaction

from accounts.models import AuditAction, SiteSettings, User
from accounts.services import audit
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
    with transaction.atomic():
        site = SiteSettings.objects.select_for_update().get(pk=1)
        before = audit.values(site, "is_signup_open")
        site.is_signup_open = is_open
        site.save(update_fields=["is_signup_open"])
        changes = audit.differences(before, audit.values(site, "is_signup_open"))
        audit.record(action=AuditAction.SITE_UPDATED, actor=actor, subject=site, changes=changes)
