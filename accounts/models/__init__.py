"""People, the keys they call us with, and who did what. Nothing here knows of quota."""

from accounts.models.audit import AuditAction, AuditEvent, AuditHead, SubjectType
from accounts.models.audit_check import AuditLogCheck
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
    "AuditAction",
    "AuditEvent",
    "AuditHead",
    "AuditLogCheck",
    "IdempotencyRecord",
    "Role",
    "Scope",
    "SiteSettings",
    "SubjectType",
    "Token",
    "TokenStatus",
    "User",
    "UserStatus",
    "all_scopes",
    "scopes_of_use_to",
]
