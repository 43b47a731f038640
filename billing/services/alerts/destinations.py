"""Where alerts go besides mail: robots and chats of messaging services."""

from datetime import datetime
from typing import Any, Final

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import AlertDestination
from billing.services.alerts import chat
from billing.services.alerts.locking import lock_owner
from billing.services.alerts.permissions import check_may_act_for
from oneapi_admin.lib.errors import DomainError

MOST: Final = 20
"""Of one user, and of the operators together."""


class TooManyDestinationsError(DomainError):
    code = "too_many_destinations"
    http_status = 409
    message = gettext_lazy("There are %(count)s destinations already.")
    remedy = gettext_lazy("Remove one that is not used any more.")


class DestinationFailedError(DomainError):
    code = "destination_failed"
    http_status = 502
    message = gettext_lazy("The test did not arrive: %(reason)s")
    remedy = gettext_lazy("Compare the address with what the service shows of the robot, then add it again.")


def add_destination(
    *, actor: User | None, owner: User | None, name: str, address: str, at: datetime, language: str = ""
) -> AlertDestination:
    """Add a destination.

    :param owner: whose it is; None for the operators'
    :param address: as the service shows it, or as apprise writes it; kept encrypted and never shown again
    :param language: of what is sent; the actor's if empty
    :raises PermissionDeniedError: if the actor is neither the owner nor, of the operators', an operator
    :raises ValidationError: if a field is not valid
    :raises TooManyDestinationsError: if there are twenty
    """
    check_may_act_for(actor=actor, owner=owner)
    destination = AlertDestination(owner=owner, name=name, created_by=actor, created_at=at)
    destination.language = language or (actor.language if actor is not None else "")
    if destination.language and destination.language not in dict(settings.LANGUAGES):
        raise ValidationError({"language": _("This language is not spoken here.")})
    try:
        destination.set_address(chat.canonical_address(address))
    except ValidationError as exc:
        raise ValidationError({"address": exc.messages}) from exc
    destination.full_clean()
    with transaction.atomic():
        lock_owner(owner)
        count = AlertDestination.objects.filter(owner=owner).count()
        if count >= MOST:
            raise TooManyDestinationsError(count=count)
        destination.save(force_insert=True)
        changes = audit.differences({}, _audited(destination))
        audit.record(
            action=AuditAction.DESTINATION_CREATED, actor=actor, subject=destination, changes=changes
        )
    return destination


def remove_destination(*, actor: User | None, destination: AlertDestination) -> None:
    """Remove a destination with its log; what is pending is never sent.

    :raises PermissionDeniedError: if the actor is neither the owner nor, of the operators', an operator
    """
    check_may_act_for(actor=actor, owner=destination.owner)
    with transaction.atomic():
        deleted, _by_model = AlertDestination.objects.filter(pk=destination.pk).delete()
        if deleted:
            audit.record(action=AuditAction.DESTINATION_DELETED, actor=actor, subject=destination)


def send_test(*, actor: User | None, destination: AlertDestination, at: datetime) -> None:
    """Send a test at once, with no transaction open, and note how it went.

    :raises PermissionDeniedError: if the actor is neither the owner nor, of the operators', an operator
    :raises DestinationFailedError: if it was not taken
    """
    check_may_act_for(actor=actor, owner=destination.owner)
    error = _attempt(destination)
    AlertDestination.objects.filter(pk=destination.pk).update(tested_at=at, test_error=error)
    destination.tested_at, destination.test_error = at, error
    if error:
        raise DestinationFailedError(reason=error)


def _attempt(destination: AlertDestination) -> str:
    try:
        address = destination.get_address()
    except InvalidToken:
        return _("The address cannot be read any more: add it again.")
    with translation.override(destination.language or settings.LANGUAGE_CODE):
        title, body = _("This is a test."), _("Alerts of oneapi-admin will arrive here.")
    return chat.send(address, title=title, body=body)


def _audited(destination: AlertDestination) -> dict[str, Any]:
    return {
        **audit.values(destination, "name", "service", "language"),
        "owner": destination.owner.username if destination.owner else None,
    }
