"""Attempts to redeem that were refused, and attacks: somebody guessing codes."""

from datetime import datetime, timedelta
from typing import ClassVar, Final

from django.conf import settings
from django.db import models

RECENT: Final = timedelta(hours=1)
SLOT: Final = timedelta(minutes=10)
"""How long a row counts before the next begins: “the last hour” can be longer by this much."""


class RefusedAttemptsQuerySet(models.QuerySet["RefusedAttempts"]):
    def recent(self, at: datetime) -> "RefusedAttemptsQuerySet":
        """The rows of whoever tried within the last hour."""
        return self.filter(last_at__gt=at - RECENT)

    def count_attempts(self) -> tuple[int, int]:
        """How many attempts were refused, and how many throttled."""
        sums = self.aggregate(refused=models.Sum("refused_count"), throttled=models.Sum("throttled_count"))
        return sums["refused"] or 0, sums["throttled"] or 0


class RefusedAttempts(models.Model):
    """What one person tried from one address in ten minutes.

    Refused attempts were looked at and were wrong; throttled ones were not even looked at.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    address = models.CharField(max_length=45, blank=True)
    """IPv6: the network of 64 bits. Empty where it is not known."""
    slot = models.DateTimeField()
    """When the ten minutes began."""
    refused_count = models.PositiveIntegerField(default=0)
    throttled_count = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField()

    objects = RefusedAttemptsQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "address", "slot"], name="refused_attempts_unique"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["last_at"], name="refused_attempts_by_time"),
            models.Index(fields=["address", "last_at"], name="refused_attempts_by_address"),
        ]

    def __str__(self) -> str:
        return f"{self.refused_count} + {self.throttled_count} attempts of user {self.user_id}"


class CodeAttackQuerySet(models.QuerySet["CodeAttack"]):
    def open(self) -> "CodeAttackQuerySet":
        """The one that is not over, if there is one."""
        return self.filter(ended_at__isnull=True)


class CodeAttack(models.Model):
    """A time in which so many codes were refused that somebody must be guessing."""

    started_at = models.DateTimeField()
    """When it was noticed; what was tried in the hour before belongs to it."""
    last_seen_at = models.DateTimeField()
    """When something was last refused or throttled."""
    ended_at = models.DateTimeField(null=True)
    refused_count = models.PositiveIntegerField()
    throttled_count = models.PositiveIntegerField()
    user_count = models.PositiveIntegerField()
    address_count = models.PositiveIntegerField()

    objects = CodeAttackQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                models.ExpressionWrapper(models.Q(ended_at__isnull=True), output_field=models.BooleanField()),
                condition=models.Q(ended_at__isnull=True),
                name="code_attack_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"attack since {self.started_at}"


class AttackMail(models.Model):
    """One operator who is to be told of an attack, from the attack's transaction until the mail is out."""

    attack = models.ForeignKey(CodeAttack, on_delete=models.CASCADE, related_name="mails", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    """None when there is nothing left to do."""
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["attack", "user"], name="attack_mail_once"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"],
                name="attack_mail_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"mail to user {self.user_id} about attack {self.attack_id}"
