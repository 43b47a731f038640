"""Who may act on whom."""

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from oneapi_admin.lib.errors import DomainError


class PermissionDeniedError(DomainError):
    code = "permission_denied"
    http_status = 403
    error_type = "permission_error"
    message = _("You may not do this to this person.")


def check_may_manage(*, actor: User, user: User) -> None:
    """
    :raises PermissionDeniedError: if the actor is no operator, or the person is not below them
    """
    if not User.objects.manageable_by(actor).filter(pk=user.pk).exists():
        raise PermissionDeniedError
