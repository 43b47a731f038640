"""Keys for ``/v1``; ``billing.services.tokens`` gives them their budgets."""

from datetime import datetime

from accounts.models import Token, User
from oneapi_admin.lib.secrets import key_digest, random_key

TOKEN_PREFIX = "sk-"  # noqa: S105  no secret


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


def _token_prefix(secret: str) -> str:
    return f"{TOKEN_PREFIX}{secret[:4]}…{secret[-4:]}"
