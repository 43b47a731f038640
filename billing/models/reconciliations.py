"""What providers took between two balances, against what we metered."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.balances import BalanceKind, BalanceSnapshot
from billing.models.channels import Channel


class ReconciliationStatus(models.TextChoices):
    OK = "ok", _("Agrees")
    DRIFT = "drift", _("Drift")
    RECHARGED = "recharged", _("Recharged")
    NO_RATE = "no_rate", _("No exchange rate")
    UNKNOWN = "unknown", _("Not comparable")


class Reconciliation(models.Model):
    """One interval of a channel, from one snapshot to the next of the same kind and currency. Append-only.

    Amounts are in the account's currency; null is "unknown", which is never 0.
    """

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="reconciliations", db_index=False
    )
    kind = models.CharField(max_length=11, choices=BalanceKind)
    currency = models.CharField(max_length=3)
    first = models.ForeignKey(BalanceSnapshot, on_delete=models.CASCADE, related_name="+", db_index=False)
    last = models.ForeignKey(BalanceSnapshot, on_delete=models.CASCADE, related_name="+", db_index=False)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    taken = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    """What the provider took."""
    recharged = models.DecimalField(max_digits=15, decimal_places=6, default=0)
    """What was paid in."""
    is_recharge_assumed = models.BooleanField(default=False)
    """The provider tells only what is left: what was taken is assumed to be what was metered."""
    metered = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    """What our calls cost by our price book, at the rate of the day."""
    drift = models.DecimalField(max_digits=15, decimal_places=6, null=True)
    """``taken`` − ``metered``: more than 0 where the provider took more than we know of."""
    tolerance = models.DecimalField(max_digits=5, decimal_places=2)
    """In percent, as the channel had it then."""
    status = models.CharField(max_length=9, choices=ReconciliationStatus)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            # One snapshot ends one interval, however many work at it.
            models.UniqueConstraint(fields=["last"], name="reconciliation_of_a_snapshot_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["channel", "-id"], name="reconciliation_by_channel"),
            models.Index(fields=["status", "-id"], name="reconciliation_by_status"),
        ]

    def __str__(self) -> str:
        return f"{self.channel_id}: {self.drift} {self.currency}"
