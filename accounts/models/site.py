"""What operators set for the whole site."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class SiteSettings(models.Model):
    """The operators' switches: one row, made by a migration."""

    is_signup_open = models.BooleanField(_("people may sign up"), default=False)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="site_settings_single_row"),
        ]

    def __str__(self) -> str:
        return "settings"
