"""Balances, the ledger behind them, and what calls in flight hold."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Token


class EntryKind(models.TextChoices):
    TOP_UP = "top_up", _("Top-up")
    REDEMPTION = "redemption", _("Redemption")
    USAGE = "usage", _("Usage")
    REFUND = "refund", _("Refund")
    ADJUSTMENT = "adjustment", _("Adjustment")
    GRANT = "grant", _("Grant")
    EXPIRY = "expiry", _("Expiry")
    IMPORT = "import", _("Import")
    REVERSAL = "reversal", _("Reversal")


class QuotaAccount(models.Model):
    """What one user may spend. ``available = balance − held``.

    The balance is below zero only after a provider reported more than a call had
    reserved; further calls are then refused until it is topped up.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, primary_key=True, related_name="quota_account"
    )
    balance = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    used_quota = models.BigIntegerField(default=0)
    request_count = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(held__gte=0), name="quota_account_held_not_negative"),
            models.CheckConstraint(
                condition=models.Q(used_quota__gte=0), name="quota_account_used_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"account {self.pk}"

    @property
    def available(self) -> int:
        return self.balance - self.held


class LedgerEntry(models.Model):
    """One movement of quota. Append-only: the database refuses to change or delete it."""

    account = models.ForeignKey(
        QuotaAccount, on_delete=models.PROTECT, related_name="entries", db_index=False
    )
    kind = models.CharField(_("kind"), max_length=12, choices=EntryKind)
    amount = models.BigIntegerField(_("amount"))
    balance_after = models.BigIntegerField(_("balance after"))
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    memo = models.CharField(_("memo"), max_length=255, blank=True)
    reference = models.CharField(max_length=64, blank=True)
    idempotency_key = models.CharField(max_length=128, null=True)
    reverses = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="reversals",
        db_index=False,
        db_constraint=False,
    )
    """The entry that this one takes back. Whoever writes it has read that entry under the account's lock, and
    entries are never deleted; the database need not look at the entries of calls, which reverse nothing."""
    created_at = models.DateTimeField(_("time"))

    is_replay = False
    """Whether ``ledger.post`` found it written already, under the same idempotency key."""
    reversal_id: int | None = None
    """Which entry took it back; known to what ``billing.queries.ledger.with_reversals`` has read."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~models.Q(amount=0), name="ledger_entry_amount_not_zero"),
            models.CheckConstraint(
                condition=models.Q(kind__in=EntryKind.values), name="ledger_entry_kind_known"
            ),
            models.UniqueConstraint(
                fields=["idempotency_key"],
                condition=models.Q(idempotency_key__isnull=False),
                name="ledger_entry_idempotency_key_unique",
            ),
            models.UniqueConstraint(
                fields=["reverses"],
                condition=models.Q(reverses__isnull=False),
                name="ledger_entry_reversed_once",
            ),
            models.CheckConstraint(
                condition=models.Q(kind=EntryKind.REVERSAL, reverses__isnull=False)
                | (~models.Q(kind=EntryKind.REVERSAL) & models.Q(reverses__isnull=True)),
                name="ledger_entry_reversal_names_entry",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["account", "-id"], name="ledger_entry_by_account"),
            models.Index(fields=["kind", "-id"], name="ledger_entry_by_kind"),
            models.Index(
                fields=["reference"], name="ledger_entry_by_reference", condition=~models.Q(reference="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount:+}"

    @property
    def shortfall(self) -> int:
        """What a reversal could not take back, as it was gone already."""
        return self.reverses.amount + self.amount if self.reverses is not None else 0


class TokenQuota(models.Model):
    """A token's own cap, if it has one, and what was spent and is held under it."""

    token = models.OneToOneField(Token, on_delete=models.CASCADE, primary_key=True, related_name="quota")
    quota_limit = models.BigIntegerField(_("quota limit"), null=True, blank=True)
    used_quota = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    request_count = models.BigIntegerField(default=0)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(held__gte=0), name="token_quota_held_not_negative"),
            models.CheckConstraint(
                condition=models.Q(quota_limit__isnull=True) | models.Q(quota_limit__gte=0),
                name="token_quota_limit_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"quota of token {self.pk}"

    @property
    def left(self) -> int | None:
        """What the token may still spend; None when it has no cap of its own."""
        return None if self.quota_limit is None else self.quota_limit - self.used_quota - self.held


class Hold(models.Model):
    """Quota reserved for one call in flight: settled or released once, or swept when it expires."""

    request_id = models.CharField(max_length=64)
    account = models.ForeignKey(
        QuotaAccount, on_delete=models.PROTECT, related_name="holds", db_index=False, db_constraint=False
    )
    """Written by who has the account's lock; the database need not look for it at every call."""
    token_id = models.BigIntegerField()
    """No foreign key: a token may be deleted while its calls are in flight."""
    amount = models.BigIntegerField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(amount__gte=0), name="hold_amount_not_negative"),
            # Not unique=True on the field, which on PostgreSQL makes a second index for LIKE.
            models.UniqueConstraint(fields=["request_id"], name="hold_request_id_unique"),
        ]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="hold_by_expiry")]

    def __str__(self) -> str:
        return f"hold {self.request_id}"
