"""The amount above which a second operator has to approve a movement."""

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from accounts.services.permissions import PermissionDeniedError
from billing.models import ApprovalSettings
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.quota import MAX_QUOTA


class RootOnlyError(PermissionDeniedError):
    message = _("Only root may set the amount above which movements need approval.")


class InvalidThresholdError(DomainError):
    code = "invalid_amount"
    http_status = 422
    message = _("The amount must be more than 0 and at most %(max)s quota units.")


def approval_threshold() -> int | None:
    """In quota units; whoever moves more needs a second operator. None: nobody does."""
    threshold: int | None = ApprovalSettings.objects.values_list("threshold", flat=True).get(pk=1)
    return threshold


def set_approval_threshold(*, actor: User, threshold: int | None) -> None:
    """Set the amount, or with None let everything be moved without approval.

    What waits already goes on waiting.

    :param threshold: in quota units, 1 to 2^53 − 1
    :raises RootOnlyError: if the actor is not root
    :raises InvalidThresholdError: if it is outside that range
    """
    if not actor.is_root:
        raise RootOnlyError
    if threshold is not None and not 0 < threshold <= MAX_QUOTA:
        raise InvalidThresholdError(max=MAX_QUOTA)
    with transaction.atomic():
        settings = ApprovalSettings.objects.select_for_update().get(pk=1)
        before = {"approval_threshold": settings.threshold}
        settings.threshold = threshold
        settings.save(update_fields=["threshold"])
        changes = audit.differences(before, {"approval_threshold": threshold})
        audit.record(action=AuditAction.SITE_UPDATED, actor=actor, subject=settings, changes=changes)
