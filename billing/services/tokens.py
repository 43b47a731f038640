"""Tokens with their budgets."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.models import Token, TokenStatus, User
from accounts.services import tokens as keys
from billing.models import TokenQuota
from billing.services.accounts import open_account
from oneapi_admin.lib.quota import MAX_QUOTA


def create_token(
    *,
    user: User,
    name: str,
    quota_limit: int | None = None,
    expires_at: datetime | None = None,
    allowed_models: list[str] | None = None,
    allowed_networks: list[str] | None = None,
    key: str = "",
) -> tuple[Token, str]:
    """Create a token for ``/v1``.

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
        TokenQuota.objects.create(token=token, quota_limit=quota_limit)
    return token, plaintext


def update_token(
    *,
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
    token.name, token.expires_at = name, expires_at
    token.allowed_models, token.allowed_networks = allowed_models, allowed_networks
    token.full_clean()
    with transaction.atomic():
        TokenQuota.objects.filter(token=token).update(quota_limit=quota_limit)
        token.save(update_fields=["name", "expires_at", "allowed_models", "allowed_networks"])
    return token


def set_token_status(*, token: Token, is_enabled: bool) -> None:
    """Enable or disable a token from its next call on."""
    status = TokenStatus.ENABLED if is_enabled else TokenStatus.DISABLED
    Token.objects.filter(pk=token.pk).update(status=status)


def rotate_token(*, token: Token) -> str:
    """Give a token a new key; the old one stops working with the next call.

    :returns: the new key, ``sk-…``, which is shown once and stored nowhere
    """
    return keys.rotate_token(token=token)


def delete_token(*, token: Token) -> None:
    """Delete a token. What it used stays in the statement, and its calls in flight are charged."""
    with transaction.atomic():
        Token.objects.filter(pk=token.pk).delete()


def _check_limit(quota_limit: int | None) -> None:
    if quota_limit is not None and not 0 <= quota_limit <= MAX_QUOTA:
        raise ValidationError({"quota_limit": _("The limit must be between 0 and 2^53 − 1 quota units.")})
