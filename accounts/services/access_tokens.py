"""Keys for the management API: making, rotating, using and revoking them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.core.exceptions import ValidationError
from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import AccessToken, AuditAction, User, scopes_of_use_to
from accounts.services import audit
from accounts.services.permissions import check_may_manage
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.origin import plain_address
from oneapi_admin.lib.secrets import key_digest, random_key

logger = structlog.get_logger(__name__)

ACCESS_TOKEN_PREFIX = "oa-"  # noqa: S105  no secret
_USE_NOTED_EVERY = timedelta(minutes=1)


class AccessTokenGoneError(DomainError):
    code = "not_found"
    http_status = 404
    message = _("This access token has been revoked.")


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
    changes = audit.differences({}, audit.values(token, "scopes", "expires_at"))
    with transaction.atomic():
        token.save()
        audit.record(action=AuditAction.ACCESS_TOKEN_CREATED, actor=actor, subject=token, changes=changes)
    return token, secret


def rotate_access_token(*, actor: User, token: AccessToken, grace: timedelta, at: datetime) -> str:
    """Give an access token a new key.

    :param actor: its owner or an operator above them, as whoever found the token made sure
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
        audit.record(action=AuditAction.ACCESS_TOKEN_ROTATED, actor=actor, subject=locked)
    return secret


def use_access_token(*, key: str, address: str | None, at: datetime) -> AccessToken | None:
    """The access token with this key, with its owner, if it works.

    When and from where it was used is noted once a minute.
    """
    token = AccessToken.objects.working(key_hash=key_digest(key), at=at).select_related("user").first()
    if token is not None and (token.last_used_at is None or token.last_used_at <= at - _USE_NOTED_EVERY):
        _note_use(token, address=address, at=at)
    return token


def revoke_access_token(*, actor: User, token: AccessToken) -> None:
    """Delete a management key; it stops working at once, and so does the one before its last rotation.

    :param actor: its owner or an operator above them, as whoever found the token made sure
    """
    with transaction.atomic():
        deleted, _by_model = AccessToken.objects.filter(pk=token.pk).delete()
        if deleted:
            audit.record(action=AuditAction.ACCESS_TOKEN_REVOKED, actor=actor, subject=token)


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
        not_noted.filter(pk=token.pk).update(last_used_at=at, last_used_ip=plain_address(address))
    except OperationalError:
        logger.warning("access_token.use_not_noted", access_token=token.pk)


def _access_token_prefix(secret: str) -> str:
    return f"{secret[:6]}…{secret[-4:]}"
