"""What calls cost. Rows are versions: they are added and never changed; the newest one counts."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.validators import validate_group


class ModelPrice(models.Model):
    """An operator's price for a model, in US dollars per 1,000,000 tokens or per request."""

    model = models.CharField(_("model"), max_length=128)
    input_price = models.DecimalField(_("input"), max_digits=12, decimal_places=6, null=True, blank=True)
    cached_input_price = models.DecimalField(
        _("cached input"), max_digits=12, decimal_places=6, null=True, blank=True
    )
    output_price = models.DecimalField(_("output"), max_digits=12, decimal_places=6, null=True, blank=True)
    request_price = models.DecimalField(
        _("per request"), max_digits=12, decimal_places=6, null=True, blank=True
    )
    max_output_tokens = models.PositiveIntegerField(_("longest answer"), null=True, blank=True)
    is_withdrawn = models.BooleanField(default=False)
    """True on the version that went back to the catalogue's price."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                # A comparison with NULL would let a row pass, so each part says what is there.
                condition=Q(is_withdrawn=True)
                | Q(
                    request_price__isnull=False,
                    request_price__gte=0,
                    input_price__isnull=True,
                    cached_input_price__isnull=True,
                    output_price__isnull=True,
                )
                | Q(
                    Q(cached_input_price__isnull=True) | Q(cached_input_price__gte=0),
                    request_price__isnull=True,
                    input_price__isnull=False,
                    input_price__gte=0,
                    output_price__isnull=False,
                    output_price__gte=0,
                ),
                name="model_price_per_token_or_per_request",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["model", "-id"], name="model_price_by_model")]

    def __str__(self) -> str:
        return f"{self.model} #{self.pk}"


class GroupPrice(models.Model):
    """What members of a group pay, as a multiple of the model's price."""

    group = models.CharField(_("group"), max_length=32, validators=[validate_group])
    multiplier = models.DecimalField(_("multiplier"), max_digits=12, decimal_places=6)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(multiplier__gte=0), name="group_price_not_negative"),
        ]
        indexes: ClassVar = [models.Index(fields=["group", "-id"], name="group_price_by_group")]

    def __str__(self) -> str:
        return f"{self.group} ×{self.multiplier}"
