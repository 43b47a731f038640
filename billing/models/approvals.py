"""Movements of quota that a second operator has to approve: what was asked for, and what became of it."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Role, User, UserStatus
from billing.models.ledger import LedgerEntry

LIFETIME = timedelta(days=7)
"""For which a proposal can be decided."""


class ProposalKind(models.TextChoices):
    TOP_UP = "top_up", _("Top-up")
    ADJUSTMENT = "adjustment", _("Adjustment")
    REFUND = "refund", _("Refund")
    REVERSAL = "reversal", _("Reversal")
    BULK_TOP_UP = "bulk_top_up", _("Bulk top-up")
    BULK_UNDO = "bulk_undo", _("Undoing a bulk top-up")


class Verdict(models.TextChoices):
    APPROVED = "approved", _("Approved")
    REJECTED = "rejected", _("Rejected")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class ProposalStatus(models.TextChoices):
    """What a proposal's decision, or time, has made of it; stored nowhere."""

    OPEN = "open", pgettext_lazy("proposal", "Waiting")
    APPROVED = Verdict.APPROVED.value, Verdict.APPROVED.label
    REJECTED = Verdict.REJECTED.value, Verdict.REJECTED.label
    WITHDRAWN = Verdict.WITHDRAWN.value, Verdict.WITHDRAWN.label
    EXPIRED = "expired", _("Expired")


class ApprovalSettings(models.Model):
    """Root's amount: one row, made by a migration."""

    threshold = models.BigIntegerField(null=True)
    """In quota units: whoever moves more needs a second operator. None: nobody does."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="approval_settings_single_row"),
            models.CheckConstraint(
                condition=Q(threshold__isnull=True) | Q(threshold__gt=0),
                name="approval_settings_threshold_positive",
            ),
        ]

    def __str__(self) -> str:
        return "approvals"


class ProposalQuerySet(models.QuerySet["Proposal"]):
    def visible_to(self, actor: User) -> "ProposalQuerySet":
        """Every proposal for root; for administrators what is about ordinary users alone."""
        if actor.is_root:
            return self.all()
        if not actor.is_operator:
            return self.none()
        return self.filter(Q(user__isnull=True) | Q(user__role=Role.USER), is_for_root=False)

    def open(self, at: datetime) -> "ProposalQuerySet":
        """What can still be decided."""
        return self.filter(decision__isnull=True, expires_at__gt=at)

    def closed(self, at: datetime) -> "ProposalQuerySet":
        return self.filter(Q(decision__isnull=False) | Q(expires_at__lte=at))

    def with_approvers(self) -> "ProposalQuerySet":
        """With ``has_approver``: whether anybody is there who could approve it."""
        others = User.objects.filter(status=UserStatus.ENABLED).exclude(pk=OuterRef("proposer_id"))
        is_root, is_admin = Q(role=Role.ROOT), Q(role=Role.ADMIN)
        roots, any_operator = others.filter(is_root), others.filter(is_root | is_admin)
        found = models.Case(models.When(is_for_root=True, then=Exists(roots)), default=Exists(any_operator))
        return self.annotate(has_approver=found)  # type: ignore[no-redef]


class Proposal(models.Model):
    """A movement that waits for a second operator. Append-only: what becomes of it is its ``Decision``."""

    kind = models.CharField(_("kind"), max_length=12, choices=ProposalKind)
    proposer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+", db_index=False
    )
    """Whose quota it is about; None for what is about many."""
    amount = models.BigIntegerField(_("amount"))
    """What it would have moved when it was proposed, in quota units, below zero for what is taken."""
    entry_count = models.PositiveIntegerField()
    """How many entries it would have made."""
    memo = models.CharField(_("memo"), max_length=255, blank=True)
    request = models.JSONField()
    """What was asked for, as ``billing.services.acts`` carries it out."""
    idempotency_key = models.CharField(max_length=128, null=True)
    is_for_root = models.BooleanField()
    """Whether it is about an operator, so that nobody below root may see it or decide."""
    created_at = models.DateTimeField(_("time"))
    expires_at = models.DateTimeField()

    objects = ProposalQuerySet.as_manager()

    has_approver = True
    """Known to what :meth:`ProposalQuerySet.with_approvers` has read."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=ProposalKind.values), name="proposal_kind_known"),
            models.CheckConstraint(condition=~Q(amount=0), name="proposal_amount_not_zero"),
            models.UniqueConstraint(
                fields=["idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="proposal_idempotency_key_unique",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="proposal_by_expiry")]

    def __str__(self) -> str:
        return f"proposal {self.pk}"

    @property
    def status(self) -> ProposalStatus:
        """What it is at this moment."""
        return self.status_at(timezone.now())

    def status_at(self, at: datetime) -> ProposalStatus:
        decision = getattr(self, "decision", None)
        if decision is not None:
            return ProposalStatus(decision.verdict)
        return ProposalStatus.OPEN if at < self.expires_at else ProposalStatus.EXPIRED

    @property
    def is_open(self) -> bool:
        return self.status == ProposalStatus.OPEN


class Decision(models.Model):
    """What somebody decided about a proposal, once: the database lets no second one be. Append-only."""

    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, primary_key=True)
    verdict = models.CharField(max_length=9, choices=Verdict)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    note = models.CharField(_("note"), max_length=255, blank=True)
    """Why it was rejected."""
    created_at = models.DateTimeField(_("time"))

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="decision_verdict_known"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} {self.proposal_id}"


class ApprovedEntry(models.Model):
    """An entry that an approval wrote, so that either leads to the other. Append-only."""

    entry = models.OneToOneField(
        LedgerEntry, on_delete=models.PROTECT, primary_key=True, related_name="approval"
    )
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="approved_entries")

    def __str__(self) -> str:
        return f"entry {self.entry_id} of proposal {self.proposal_id}"
