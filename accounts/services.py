"""Creating and changing people and their keys."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import AccessToken, Role, SiteSettings, Token, User, UserStatus
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.secrets import key_digest, random_key

TOKEN_PREFIX = "sk-"  # noqa: S105  no secret
ACCESS_TOKEN_PREFIX = "oa-"  # noqa: S105  no secret


class PermissionDeniedError(DomainError):
    code = "permission_denied"
    http_status = 403
    error_type = "permission_error"
    message = _("You may not do this to this person.")


class LastRootError(DomainError):
    code = "last_root"
    http_status = 409
    message = _("This is the only enabled root user: somebody has to be able to sign in as root.")


def check_may_manage(*, actor: User, user: User) -> None:
    """
    :raises PermissionDeniedError: if the actor is no operator, or the person is not below them
    """
    if not User.objects.manageable_by(actor).filter(pk=user.pk).exists():
        raise PermissionDeniedError


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
    :raises ValidationError: if a field is not valid
    """
    if actor is not None and not actor.is_root and (not actor.is_operator or role != Role.USER):
        raise PermissionDeniedError
    user = User(
        username=username, email=email, display_name=display_name, role=role, group=group, language=language
    )
    user.set_password(password)
    user.full_clean()
    user.save()
    return user


def update_user(
    *, actor: User, user: User, display_name: str, email: str, role: str, group: str, status: str
) -> User:
    """Change a person's details.

    :raises PermissionDeniedError: if the actor may not manage them, or may not give that role
    :raises LastRootError: if nobody enabled would be left as root
    :raises ValidationError: if a field is not valid
    """
    with transaction.atomic(durable=True):
        check_may_manage(actor=actor, user=user)
        if role != user.role and not actor.is_root:
            raise PermissionDeniedError
        # All roots too, so that two of them who remove each other meet here.
        rows = User.objects.select_for_update().filter(Q(pk=user.pk) | Q(role=Role.ROOT)).order_by("pk")
        locked: User = next(row for row in list(rows) if row.pk == user.pk)
        locked.display_name, locked.email, locked.role = display_name, email, role
        locked.group, locked.status = group, status
        locked.full_clean()
        locked.save(update_fields=["display_name", "email", "role", "group", "status"])
        if not User.objects.filter(role=Role.ROOT, status=UserStatus.ENABLED).exists():
            raise LastRootError
    return locked


def set_password(*, actor: User, user: User, password: str) -> None:
    """Give a person a new password, which ends their sessions.

    :raises PermissionDeniedError: if the actor may not manage them
    """
    check_may_manage(actor=actor, user=user)
    user.set_password(password)
    user.save(update_fields=["password"])


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


def create_token(
    *,
    user: User,
    name: str,
    expires_at: datetime | None = None,
    allowed_models: list[str] | None = None,
    allowed_networks: list[str] | None = None,
    key: str = "",
) -> tuple[Token, str]:
    """Create a token for ``/v1``; use ``billing.services.tokens``, which also gives it a budget.

    :param key: 48 characters of one's own choice, on the first start only
    :returns: the token and its key, ``sk-…``, which is stored nowhere
    """
    secret = key or random_key()
    token = Token(
        user=user,
        name=name,
        key_hash=key_digest(secret),
        key_prefix=f"{TOKEN_PREFIX}{secret[:4]}…{secret[-4:]}",
        expires_at=expires_at,
        allowed_models=allowed_models or [],
        allowed_networks=allowed_networks or [],
    )
    token.full_clean()
    token.save()
    return token, f"{TOKEN_PREFIX}{secret}"


def create_access_token(
    *, user: User, name: str, expires_at: datetime | None = None, key: str = ""
) -> tuple[AccessToken, str]:
    """Create a key for the management API.

    :param key: a key of one's own choice, on the first start only
    :returns: the access token and its key, which is stored nowhere
    """
    secret = key or ACCESS_TOKEN_PREFIX + random_key()
    token = AccessToken(
        user=user,
        name=name,
        key_hash=key_digest(secret),
        key_prefix=f"{secret[:6]}…{secret[-4:]}",
        expires_at=expires_at,
    )
    token.full_clean()
    token.save()
    return token, secret


def revoke_access_token(*, token: AccessToken) -> None:
    """Delete a management key; it stops working at once."""
    token.delete()


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
