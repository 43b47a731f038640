"""What currencies are worth. Rows are versions: they are added and never changed."""

from typing import ClassVar

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class ExchangeRate(models.Model):
    """How many units of a currency are one US dollar, from a day on; of one day's the newest counts."""

    currency = models.CharField(
        _("currency"),
        max_length=3,
        validators=[
            RegexValidator(r"\A[A-Z]{3}\Z", _("Enter a currency by its three letters, CNY for example."))
        ],
    )
    per_usd = models.DecimalField(_("for one US dollar"), max_digits=18, decimal_places=8)
    valid_from = models.DateField(_("from"))
    """In UTC."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(per_usd__gt=0), name="exchange_rate_positive"),
            models.CheckConstraint(condition=~models.Q(currency="USD"), name="exchange_rate_not_of_usd"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["currency", "-valid_from", "-id"], name="exchange_rate_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.per_usd} {self.currency} from {self.valid_from}"
