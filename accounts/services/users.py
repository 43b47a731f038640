"""Creating and changing people."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, Role, User, UserStatus
from accounts.services import audit
from accounts.services.permissions import PermissionDeniedError, check_may_manage
from oneapi_admin.lib.errors import DomainError

_DETAILS = ("display_name", "email", "role", "group", "status")


class UsernameTakenError(DomainError):
    code = "username_taken"
    http_status = 409
    message = _("This user name is taken.")


class EmailTakenError(DomainError):
    code = "email_taken"
    http_status = 409
    message = _("Somebody else has this e-mail address.")


class LastRootError(DomainError):
    code = "last_root"
    http_status = 409
    message = _("This is the only enabled root user: somebody has to be able to sign in as root.")


def create_user(
    *,
    actor: User | None,
    username: str,
    password: str | None,
    email: str = "",
    display_name: str = "",
    role: str = Role.USER,
    group: str = "default",
    language: str = "",
) -> User:
    """Create a person; ``actor`` is None for the first start only.

    :raises PermissionDeniedError: if an administrator tries to create anyone but an ordinary user
    :raises UsernameTakenError, EmailTakenError: if somebody has it, whatever its case
    :raises ValidationError: if a field is not valid
    """
    if actor is not None and not actor.is_root and (not actor.is_operator or role != Role.USER):
        raise PermissionDeniedError
    user = User(
        username=username, email=email, display_name=display_name, role=role, group=group, language=language
    )
    user.set_password(password)
    user.clean_fields()  # before a database is asked, which may choke on them
    if User.objects.filter(username__iexact=username).exists():
        raise UsernameTakenError
    _check_email_is_free(email, besides=None)
    user.full_clean()
    with transaction.atomic():
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError as exc:  # somebody took it a moment ago
            raise UsernameTakenError from exc
        audit.record(action=AuditAction.USER_CREATED, actor=actor, subject=user, changes=_as_made(user))
    return user


def note_sign_up(*, user: User) -> None:
    """Audit that a person made themselves an account; call it in the transaction in which they did."""
    audit.record(action=AuditAction.USER_SIGNED_UP, actor=user, subject=user, changes=_as_made(user))


def update_user(
    *, actor: User, user: User, display_name: str, email: str, role: str, group: str, status: str
) -> User:
    """Change a person's details.

    :raises PermissionDeniedError: if the actor may not manage them, or may not give that role
    :raises LastRootError: if nobody enabled would be left as root
    :raises EmailTakenError: if somebody else has it
    :raises ValidationError: if a field is not valid
    """
    with transaction.atomic():
        check_may_manage(actor=actor, user=user)
        if role != user.role and not actor.is_root:
            raise PermissionDeniedError
        # All roots too, so that two of them who remove each other meet here.
        # Foreign keys may go on pointing to them: what an operator writes meanwhile names its actor.
        rows = User.objects.select_for_update(no_key=True).filter(Q(pk=user.pk) | Q(role=Role.ROOT))
        locked: User = next(row for row in list(rows.order_by("pk")) if row.pk == user.pk)
        before = audit.values(locked, *_DETAILS)
        locked.display_name, locked.email, locked.role = display_name, email, role
        locked.group, locked.status = group, status
        locked.clean_fields()
        _check_email_is_free(email, besides=locked)
        locked.full_clean()
        locked.save(update_fields=_DETAILS)
        if not User.objects.filter(role=Role.ROOT, status=UserStatus.ENABLED).exists():
            raise LastRootError
        _record_update(actor, locked, before)
    return locked


def set_password(*, actor: User, user: User, password: str) -> None:
    """Give a person a new password, which ends their sessions.

    :raises PermissionDeniedError: if the actor may not manage them
    """
    check_may_manage(actor=actor, user=user)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        audit.record(action=AuditAction.USER_PASSWORD_SET, actor=actor, subject=user)


def set_display_name(*, user: User, display_name: str) -> None:
    """Change what pages call a person; empty for the user name.

    :raises ValidationError: if it is too long
    """
    user.display_name = display_name
    user.clean_fields(exclude={field.name for field in user._meta.fields} - {"display_name"})
    user.save(update_fields=["display_name"])


def set_language(*, user: User, language: str) -> None:
    """Speak a language to a person from now on; empty for the browser's."""
    user.language = language
    user.save(update_fields=["language"])


def _as_made(user: User) -> audit.Changes:
    return audit.differences({}, audit.values(user, "display_name", "email", "role", "group"))


def _record_update(actor: User, user: User, before: dict[str, Any]) -> None:
    """An event each for role, status and the rest, so that each can be looked for."""
    is_deleted = user.status == UserStatus.DELETED
    for action, names in (
        (AuditAction.USER_UPDATED, ("display_name", "email", "group")),
        (AuditAction.USER_ROLE_CHANGED, ("role",)),
        (AuditAction.USER_DELETED if is_deleted else AuditAction.USER_STATUS_CHANGED, ("status",)),
    ):
        changes = audit.differences(before, audit.values(user, *names))
        audit.record(action=action, actor=actor, subject=user, changes=changes)


def _check_email_is_free(email: str, *, besides: User | None) -> None:
    others = User.objects.filter(email__iexact=email)
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    if email and others.exists():
        raise EmailTakenError
