"""Creating and changing people and their keys."""

import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import (
    AccessToken,
    IdempotencyRecord,
    Role,
    SiteSettings,
    Token,
    User,
    UserStatus,
    scopes_of_use_to,
)
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.secrets import key_digest, random_key

logger = structlog.get_logger(__name__)

TOKEN_PREFIX = "sk-"  # noqa: S105  no secret
ACCESS_TOKEN_PREFIX = "oa-"  # noqa: S105  no secret
_USE_NOTED_EVERY = timedelta(minutes=1)


class PermissionDeniedError(DomainError):
    code = "permission_denied"
    http_status = 403
    error_type = "permission_error"
    message = _("You may not do this to this person.")


class AccessTokenGoneError(DomainError):
    code = "not_found"
    http_status = 404
    message = _("This access token has been revoked.")


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
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as exc:  # somebody took it a moment ago
        raise UsernameTakenError from exc
    return user


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
        rows = User.objects.select_for_update().filter(Q(pk=user.pk) | Q(role=Role.ROOT)).order_by("pk")
        locked: User = next(row for row in list(rows) if row.pk == user.pk)
        locked.display_name, locked.email, locked.role = display_name, email, role
        locked.group, locked.status = group, status
        locked.clean_fields()
        _check_email_is_free(email, besides=locked)
        locked.full_clean()
        locked.save(update_fields=["display_name", "email", "role", "group", "status"])
        if not User.objects.filter(role=Role.ROOT, status=UserStatus.ENABLED).exists():
            raise LastRootError
    return locked


def _check_email_is_free(email: str, *, besides: User | None) -> None:
    others = User.objects.filter(email__iexact=email)
    if besides is not None:
        others = others.exclude(pk=besides.pk)
    if email and others.exists():
        raise EmailTakenError


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
        key_prefix=_token_prefix(secret),
        expires_at=expires_at,
        allowed_models=allowed_models or [],
        allowed_networks=allowed_networks or [],
    )
    token.full_clean()
    token.save()
    return token, f"{TOKEN_PREFIX}{secret}"


def rotate_token(*, token: Token) -> str:
    """Give a token a new key; use ``billing.services.tokens``.

    :returns: the new key, which is stored nowhere
    """
    secret = random_key()
    token.key_hash, token.key_prefix = key_digest(secret), _token_prefix(secret)
    token.save(update_fields=["key_hash", "key_prefix"])
    return f"{TOKEN_PREFIX}{secret}"


def create_access_token(
    *,
    actor: User | None,
    user: User,
    name: str,
    scopes: list[str],
    expires_at: datetime | None = None,
    key: str = "",
) -> tuple[AccessToken, str]:
    """Create a key for the management API.

    :param actor: its owner or an operator above them; None for the first start only
    :param key: a key of one's own choice, on the first start only
    :returns: the access token and its key, which is stored nowhere
    :raises PermissionDeniedError: if the actor is neither
    :raises ValidationError: if a field is not valid, or a scope is of no use to the owner
    """
    if actor is not None and actor.pk != user.pk:
        check_may_manage(actor=actor, user=user)
    _check_scopes(scopes, user)
    secret = key or ACCESS_TOKEN_PREFIX + random_key()
    token = AccessToken(
        user=user,
        name=name,
        scopes=sorted(set(scopes)),
        key_hash=key_digest(secret),
        key_prefix=_access_token_prefix(secret),
        expires_at=expires_at,
    )
    token.full_clean()
    token.save()
    return token, secret


def rotate_access_token(*, token: AccessToken, grace: timedelta, at: datetime) -> str:
    """Give an access token a new key.

    :param grace: how long the present key goes on working; a still earlier one stops at once
    :returns: the new key, which is stored nowhere
    :raises AccessTokenGoneError: if it was revoked in the meantime
    """
    secret = ACCESS_TOKEN_PREFIX + random_key()
    with transaction.atomic():
        locked = AccessToken.objects.select_for_update().filter(pk=token.pk).first()
        if locked is None:
            raise AccessTokenGoneError
        locked.previous_key_hash = locked.key_hash if grace else None
        locked.previous_expires_at = at + grace if grace else None
        locked.key_hash, locked.key_prefix = key_digest(secret), _access_token_prefix(secret)
        locked.save(update_fields=["previous_key_hash", "previous_expires_at", "key_hash", "key_prefix"])
    return secret


def use_access_token(*, key: str, address: str | None, at: datetime) -> AccessToken | None:
    """The access token with this key, with its owner, if it works.

    When and from where it was used is noted once a minute.
    """
    token = AccessToken.objects.working(key_hash=key_digest(key), at=at).select_related("user").first()
    if token is not None and (token.last_used_at is None or token.last_used_at <= at - _USE_NOTED_EVERY):
        _note_use(token, address=address, at=at)
    return token


def revoke_access_token(*, token: AccessToken) -> None:
    """Delete a management key; it stops working at once, and so does the one before its last rotation."""
    token.delete()


def forget_idempotency_records(*, before: datetime, limit: int = 10_000) -> int:
    """Delete old answers; the ledger remembers the keys of what moved quota for ever.

    :returns: how many; call again while it is ``limit``
    """
    old = IdempotencyRecord.objects.filter(created_at__lt=before).order_by("created_at").values("pk")[:limit]
    deleted, _by_model = IdempotencyRecord.objects.filter(
        pk__in=list(old.values_list("pk", flat=True))
    ).delete()
    return deleted


def _check_scopes(scopes: Iterable[str], user: User) -> None:
    """
    :raises ValidationError: if there is none, or one that is unknown or of no use to the owner
    """
    chosen = set(scopes)
    if not chosen:
        raise ValidationError({"scopes": _("Choose at least one scope.")})
    refused = sorted(chosen - set(scopes_of_use_to(user)))
    if refused:
        text = _("An access token of this person cannot have the scope “%(scope)s”.")
        raise ValidationError({"scopes": ValidationError(text, params={"scope": refused[0]})})


def _note_use(token: AccessToken, *, address: str | None, at: datetime) -> None:
    """Requests that use a token at the same time write once; one that cannot write goes on without."""
    before = at - _USE_NOTED_EVERY
    not_noted = AccessToken.objects.filter(Q(last_used_at__isnull=True) | Q(last_used_at__lte=before))
    try:
        not_noted.filter(pk=token.pk).update(last_used_at=at, last_used_ip=_plain_address(address))
    except OperationalError:
        logger.warning("access_token.use_not_noted", access_token=token.pk)


def _plain_address(text: str | None) -> str | None:
    """An address as both databases store it; None for what a proxy made up, such as ``unknown``."""
    try:
        return str(ipaddress.ip_address((text or "").partition("%")[0]))
    except ValueError:
        return None


def _token_prefix(secret: str) -> str:
    return f"{TOKEN_PREFIX}{secret[:4]}…{secret[-4:]}"


def _access_token_prefix(secret: str) -> str:
    return f"{secret[:6]}…{secret[-4:]}"


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
