"""The keys that people call us with: tokens for ``/v1``, access tokens for the management API."""

from datetime import datetime
from typing import ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.users import User, UserStatus
from accounts.validators import validate_networks


class TokenStatus(models.TextChoices):
    ENABLED = "enabled", _("Enabled")
    DISABLED = "disabled", _("Disabled")


class TokenQuerySet(models.QuerySet["Token"]):
    def owned_by(self, user: User) -> "TokenQuerySet":
        return self.filter(user=user)


class Token(models.Model):
    """A key for ``/v1``. Its budget and counters are ``billing.TokenQuota``."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(_("name"), max_length=64)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_prefix = models.CharField(max_length=16, editable=False)
    status = models.CharField(_("status"), max_length=8, choices=TokenStatus, default=TokenStatus.ENABLED)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    allowed_models = models.JSONField(_("allowed models"), default=list, blank=True)
    allowed_networks = models.JSONField(
        _("allowed networks"), default=list, blank=True, validators=[validate_networks]
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = TokenQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(status__in=TokenStatus.values), name="token_status_known"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["user", "-id"], name="token_by_user")]

    def __str__(self) -> str:
        return self.name

    def has_expired(self, at: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= at


class Scope(models.TextChoices):
    """What an access token may be used for; its owner's role limits it further."""

    READ = "read", _("Read everything its owner may see")
    TOKENS = "tokens", _("Make and change tokens")
    REDEEM = "redeem", _("Redeem codes")
    USERS = "users", _("Make and change users")
    TOPUP = "topup", _("Top up and adjust quota")
    CODES = "codes", _("Make and change codes")
    CHANNELS = "channels", _("Make and change channels")
    ADMIN = "admin", _("Everything, access tokens included")


OPERATOR_SCOPES = frozenset({Scope.USERS, Scope.TOPUP, Scope.CODES, Scope.CHANNELS})
"""Of use to operators only."""


def scopes_of_use_to(user: User) -> list[Scope]:
    """What a person may choose for an access token of theirs."""
    return [scope for scope in Scope if user.is_operator or scope not in OPERATOR_SCOPES]


def all_scopes() -> list[str]:
    """The scopes of access tokens that are from before there were scopes, and of root's first one."""
    return [Scope.ADMIN.value]


class AccessTokenQuerySet(models.QuerySet["AccessToken"]):
    def working(self, *, key_hash: str, at: datetime) -> "AccessTokenQuerySet":
        """The token with this key, or with this key until a moment ago, if it can be used."""
        is_key = models.Q(key_hash=key_hash)
        was_key = models.Q(previous_key_hash=key_hash, previous_expires_at__gt=at)
        has_time = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=at)
        return self.filter(is_key | was_key).filter(has_time, user__status=UserStatus.ENABLED)


class AccessToken(models.Model):
    """A key for the management API; shown once, stored as a hash."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="access_tokens")
    name = models.CharField(_("name"), max_length=64)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    key_prefix = models.CharField(max_length=16, editable=False)
    previous_key_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)
    previous_expires_at = models.DateTimeField(null=True, editable=False)
    """Until when the key before the last rotation still works."""
    scopes = models.JSONField(_("scopes"), default=all_scopes)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_ip = models.GenericIPAddressField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AccessTokenQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["user", "-id"], name="access_token_by_user")]

    def __str__(self) -> str:
        return self.name
