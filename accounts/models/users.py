"""People."""

from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.validators import validate_group, validate_username


class Role(models.TextChoices):
    USER = "user", _("User")
    ADMIN = "admin", _("Administrator")
    ROOT = "root", _("Root")


class UserStatus(models.TextChoices):
    ENABLED = "enabled", _("Enabled")
    DISABLED = "disabled", _("Disabled")
    DELETED = "deleted", _("Deleted")


class UserQuerySet(models.QuerySet["User"]):
    def present(self) -> "UserQuerySet":
        """Everyone who was not deleted."""
        return self.exclude(status=UserStatus.DELETED)

    def operators(self) -> "UserQuerySet":
        """The operators who may sign in."""
        return self.filter(role__in=(Role.ADMIN, Role.ROOT), status=UserStatus.ENABLED)

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

    def named(self, text: str) -> "UserQuerySet":
        """By the exact name, in small or capital letters, or by the exact number."""
        found = models.Q(username__iexact=text)
        if text.isascii() and text.isdigit() and len(text) <= 18:
            found |= models.Q(pk=int(text))
        return self.filter(found)

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
