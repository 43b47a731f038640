"""Top-ups of many people at once, so that they can be found and undone together."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Count, F, OuterRef, Q, Subquery, Sum, Value
from django.db.models.functions import Cast, Coalesce, Concat

from accounts.models import Role, User
from billing.models.ledger import EntryKind, LedgerEntry

_PREFIX = "bulk:"


class BulkTopUpQuerySet(models.QuerySet["BulkTopUp"]):
    def visible_to(self, actor: User) -> "BulkTopUpQuerySet":
        """Every run for root; for administrators those of administrators: root's may be about root."""
        if actor.is_root:
            return self.all()
        return self.exclude(actor__role=Role.ROOT) if actor.is_operator else self.none()

    def with_reversals(self) -> "BulkTopUpQuerySet":
        """With ``reversed_count`` and ``reversed_total``: how many entries were taken back, and how much."""
        name = Concat(Value(_PREFIX), Cast(OuterRef("pk"), models.CharField()))
        reversals = (
            LedgerEntry.objects.filter(~Q(reference=""), reference=name, kind=EntryKind.REVERSAL)
            .order_by()
            .values("reference")
        )
        sums = {"count": Count("pk"), "total": Sum(-F("amount"))}
        return self.annotate(
            **{
                f"reversed_{field}": Coalesce(
                    Subquery(
                        reversals.annotate(**{field: how}).values(field),
                        output_field=models.BigIntegerField(),
                    ),
                    0,
                )
                for field, how in sums.items()
            }
        )


class BulkTopUp(models.Model):
    """One run: its entries have its ``reference``. What it sums up is added in their transaction."""

    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    memo = models.CharField(max_length=255, blank=True)
    count = models.PositiveIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    """In quota units."""
    created_at = models.DateTimeField()

    objects = BulkTopUpQuerySet.as_manager()

    reversed_count = 0
    reversed_total = 0
    """Known to what :meth:`BulkTopUpQuerySet.with_reversals` has read."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(total__gte=0), name="bulk_top_up_total_not_negative"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def reference(self) -> str:
        """What its entries, and their reversals, have as theirs."""
        return f"{_PREFIX}{self.pk}"

    @staticmethod
    def id_of(reference: str) -> int | None:
        """Which run an entry belongs to; None for entries that are in none."""
        return int(reference.removeprefix(_PREFIX)) if reference.startswith(_PREFIX) else None
