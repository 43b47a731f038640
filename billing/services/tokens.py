"""Tokens with their budgets."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, Token, TokenStatus, User
from accounts.services import audit
from accounts.services import tokens as keys
from billing.models import TokenQuota
from billing.services.accounts import open_account
from oneapi_admin.lib.quota import MAX_QUOTA


def create_token(
    *,
    actor: User | None,
    user: User,
    name: str,
    quota_limit: int | None = None,
    expires_at: datetime | None = None,
    allowed_models: list[str] | None = None,
    allowed_networks: list[str] | None = None,
    key: str = "",
) -> tuple[Token, str]:
    """Create a token for ``/v1``.

    :param actor: its owner or an operator above them; None for the first start only
    :param quota_limit: the most it may ever spend, in quota units; None for no limit of its own
    :returns: the token and its key, ``sk-…``, which is shown once and stored nowhere
    :raises ValidationError: if a field is not valid
    """
    _check_limit(quota_limit)
    with transaction.atomic():
        open_account(user=user)
        token, plaintext = keys.create_token(
            user=user,
            name=name,
            expires_at=expires_at,
            allowed_models=allowed_models,
            allowed_networks=allowed_networks,
            key=key,
        )
        quota = TokenQuota.objects.create(token=token, quota_limit=quota_limit)
        changes = audit.differences({}, _settings(token, quota))
        _record(AuditAction.TOKEN_CREATED, actor, token, changes)
    return token, plaintext


def update_token(
    *,
    actor: User,
    token: Token,
    name: str,
    quota_limit: int | None,
    expires_at: datetime | None,
    allowed_models: list[str],
    allowed_networks: list[str],
) -> Token:
    """Change a token; its calls in flight go on, the next one meets the new rules.

    :raises ValidationError: if a field is not valid
    """
    _check_limit(quota_limit)
    before = _settings(token, token.quota)
    token.name, token.expires_at = name, expires_at
    token.allowed_models, token.allowed_networks = allowed_models, allowed_networks
    token.full_clean()
    with transaction.atomic():
        token.quota.quota_limit = quota_limit
        token.quota.save(update_fields=["quota_limit"])
        token.save(update_fields=["name", "expires_at", "allowed_models", "allowed_networks"])
        changes = audit.differences(before, _settings(token, token.quota))
        _record(AuditAction.TOKEN_UPDATED, actor, token, changes)
    return token


def set_token_status(*, actor: User, token: Token, is_enabled: bool) -> None:
    """Enable or disable a token from its next call on."""
    old, new = TokenStatus.DISABLED, TokenStatus.ENABLED
    if not is_enabled:
        old, new = new, old
    with transaction.atomic():
        if Token.objects.filter(pk=token.pk, status=old).update(status=new):
            changes = audit.differences({"status": old}, {"status": new})
            _record(AuditAction.TOKEN_STATUS_CHANGED, actor, token, changes)


def rotate_token(*, actor: User, token: Token) -> str:
    """Give a token a new key; the old one stops working with the next call.

    :returns: the new key, ``sk-…``, which is shown once and stored nowhere
    """
    with transaction.atomic():
        key = keys.rotate_token(token=token)
        _record(AuditAction.TOKEN_ROTATED, actor, token)
    return key


def delete_token(*, actor: User, token: Token) -> None:
    """Delete a token. What it used stays in the statement, and its calls in flight are charged."""
    with transaction.atomic():
        deleted, _by_model = Token.objects.filter(pk=token.pk).delete()
        if deleted:
            _record(AuditAction.TOKEN_DELETED, actor, token)


def _settings(token: Token, quota: TokenQuota) -> dict[str, Any]:
    names = ("name", "expires_at", "allowed_models", "allowed_networks")
    return {**audit.values(token, *names), **audit.values(quota, "quota_limit")}


def _record(
    action: AuditAction, actor: User | None, token: Token, changes: audit.Changes | None = None
) -> None:
    """The audit log tells what operators do to the tokens of others, and not what people do to their own."""
    if actor is None or actor.pk != token.user_id:
        audit.record(action=action, actor=actor, subject=token, changes=changes)


def _check_limit(quota_limit: int | None) -> None:
    if quota_limit is not None and not 0 <= quota_limit <= MAX_QUOTA:
        raise ValidationError({"quota_limit": _("The limit must be between 0 and 2^53 − 1 quota units.")})
