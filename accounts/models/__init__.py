"""People and the keys they call us with. Nothing here knows of quota."""

from accounts.models.idempotency import IdempotencyRecord
from accounts.models.site import SiteSettings
from accounts.models.tokens import (
    AccessToken,
    Scope,
    Token,
    TokenStatus,
    all_scopes,
    scopes_of_use_to,
)
from accounts.models.users import Role, User, UserStatus

__all__ = [
    "AccessToken",
    "IdempotencyRecord",
    "Role",
    "Scope",
    "SiteSettings",
    "Token",
    "TokenStatus",
    "User",
    "UserStatus",
    "all_scopes",
    "scopes_of_use_to",
]
