"""Tells processes when what they cached about channels and prices is out of date."""

from typing import ClassVar

from django.db import models


class ConfigVersion(models.Model):
    """One row, made by a migration; every change of channels or prices adds one in its own transaction."""

    version = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="config_version_single_row"),
        ]

    def __str__(self) -> str:
        return str(self.version)
