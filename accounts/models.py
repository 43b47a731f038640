"""People and the keys they call us with. Nothing here knows of quota."""

from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.validators import validate_group, validate_networks, validate_username


class Role(models.TextChoices):
    USER = "user", _("User")
    ADMIN = "admin", _("Administrator")
    ROOT = "root", _("Root")


class UserStatus(models.TextChoices):
    ENABLED = "enabled", _("Enabled")
    DISABLED = "disabled", _("Disabled")
    DELETED = "deleted", _("Deleted")


class TokenStatus(models.TextChoices):
    ENABLED = "enabled", _("Enabled")
    DISABLED = "disabled", _("Disabled")


class UserQuerySet(models.QuerySet["User"]):
    def present(self) -> "UserQuerySet":
        """Everyone who was not deleted."""
        return self.exclude(status=UserStatus.DELETED)

    def visible_to(self, actor: "User") -> "UserQuerySet":
        """Whom an operator may see: nobody below root sees root."""
        if actor.role == Role.ROOT:
            return self.present()
        if actor.role == Role.ADMIN:
            return self.present().exclude(role=Role.ROOT)
        return self.present().filter(pk=actor.pk)

    def manageable_by(self, actor: "User") -> "UserQuerySet":
        """Whom an operator may change or top up: root everyone, an administrator ordinary users."""
        if actor.role == Role.ROOT:
            return self.present()
        if actor.role == Role.ADMIN:
            return self.present().filter(role=Role.USER)
        return self.none()

    def self_or_manageable_by(self, actor: "User") -> "UserQuerySet":
        """Whose keys somebody may handle: their own, and those of whom they may change."""
        below = self.manageable_by(actor).values("pk")
        return self.filter(models.Q(pk=actor.pk) | models.Q(pk__in=below))

    def search(self, text: str) -> "UserQuerySet":
        """By the beginning of the name or e-mail, or by the exact number."""
        found = models.Q(username__istartswith=text) | models.Q(email__istartswith=text)
        found |= models.Q(display_name__istartswith=text)
        if text.isascii() and text.isdigit() and len(text) <= 18:
            found |= models.Q(pk=int(text))
        return self.filter(found)


class UserManager(BaseUserManager["User"].from_queryset(UserQuerySet)):  # type: ignore[misc]
    def get_by_natural_key(self, username: str | None) -> "User":
        user: User = self.get(username__iexact=username)
        return user


class User(AbstractBaseUser):
    username = models.CharField(_("user name"), max_length=64, validators=[validate_username])
    email = models.EmailField(_("e-mail"), max_length=254, blank=True)
    display_name = models.CharField(_("display name"), max_length=64, blank=True)
    role = models.CharField(_("role"), max_length=8, choices=Role, default=Role.USER)
    status = models.CharField(_("status"), max_length=8, choices=UserStatus, default=UserStatus.ENABLED)
    group = models.CharField(_("group"), max_length=32, default="default", validators=[validate_group])
    language = models.CharField(_("language"), max_length=10, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(Lower("username"), name="user_username_unique"),
            models.UniqueConstraint(Lower("email"), condition=~models.Q(email=""), name="user_email_unique"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_role_known"),
            models.CheckConstraint(
                condition=models.Q(status__in=UserStatus.values), name="user_status_known"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["status", "-id"], name="user_by_status"),
            models.Index(fields=["group", "-id"], name="user_by_group"),
        ]

    def __str__(self) -> str:
        return self.username

    @property
    def is_active(self) -> bool:  # type: ignore[override]
        """Whether the person may sign in; Django asks for it on every request."""
        return self.status == UserStatus.ENABLED

    @property
    def is_operator(self) -> bool:
        return self.role in (Role.ADMIN, Role.ROOT)

    @property
    def is_root(self) -> bool:
        return self.role == Role.ROOT

    @property
    def name(self) -> str:
        """What to call the person on a page."""
        return self.display_name or self.username

    # What django.contrib.admin asks of a user; only root gets in.
    @property
    def is_staff(self) -> bool:
        return self.is_root

    @property
    def is_superuser(self) -> bool:
        return self.is_root

    def has_perm(self, _perm: str, _obj: object = None) -> bool:
        return self.is_active and self.is_root

    def has_module_perms(self, _label: str) -> bool:
        return self.is_active and self.is_root


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


class IdempotencyRecord(models.Model):
    """The first answer to a request with an ``Idempotency-Key``, written in the transaction of its effect."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    """Of method, path and body: the same key does not stand for another request."""
    status = models.PositiveSmallIntegerField(default=0)
    """Of the answer; 0 only inside the transaction that makes it."""
    encrypted_body = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_record_key_unique"),
        ]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="idempotency_record_by_time")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.key}"


class SiteSettings(models.Model):
    """The operators' switches: one row, made by a migration."""

    is_signup_open = models.BooleanField(_("people may sign up"), default=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="site_settings_single_row"),
        ]

    def __str__(self) -> str:
        return "settings"
