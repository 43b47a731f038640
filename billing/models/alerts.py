"""Who wants to be told of what, what there was to tell, and how it reached them: rules, alerts, an outbox."""

from typing import ClassVar
from uuid import uuid4
from zoneinfo import available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.models.channels import Channel
from billing.models.webhooks import DeliveryStatus
from oneapi_admin.lib.secrets import decrypt, encrypt

_ADDRESS_PURPOSE = "billing.alert_destination"


class AlertKind(models.TextChoices):
    """What rules watch; names are for ever."""

    QUOTA_USED = "quota_used", _("Quota used")
    TOKEN_LIMIT_USED = "token_limit_used", _("Quota limit of a token used")
    BALANCE_BELOW = "balance_below", _("Quota left")
    CHANNEL_BALANCE_BELOW = "channel_balance_below", _("Provider's balance left")
    CHANNEL_LIMIT_USED = "channel_limit_used", _("Provider's limit or budget used")
    FORECAST_BELOW = "forecast_below", _("Hours until it runs out")
    ERROR_RATE = "error_rate", _("Failed calls of the last hour")
    COST_PER_HOUR = "cost_per_hour", _("Cost of the last hour")
    DRIFT = "drift", _("Drift between provider and metering")
    CHANNEL_DISABLED = "channel_disabled", _("Channel disabled automatically")
    CODE_ATTACK = "code_attack", _("Guessing of codes noticed")
    AUDIT_FAILED = "audit_failed", _("Ledger audit failed")
    BACKLOG = "backlog", _("Jobs and deliveries overdue")


class AlertScope(models.TextChoices):
    ALL_CHANNELS = "all_channels", _("All channels")
    CHANNEL = "channel", _("One channel")
    ALL_USERS = "all_users", _("All users")
    USER = "user", _("One user")
    SITE = "site", _("The installation")


class AlertAudience(models.TextChoices):
    OPERATORS = "operators", _("Operators")
    USER = "user", _("The user")
    BOTH = "both", _("Operators and the user")


class AlertSeverity(models.TextChoices):
    WARNING = "warning", _("Warning")
    CRITICAL = "critical", _("Critical")


class AlertSubject(models.TextChoices):
    """What an alert is about."""

    CHANNEL = "channel", _("Channel")
    USER = "user", _("User")
    TOKEN = "token", _("Token")
    SITE = "site", _("Installation")


class AlertEvent(models.TextChoices):
    RAISED = "raised", _("Raised")
    RESOLVED = "resolved", _("Resolved")


def validate_time_zone(name: str) -> None:
    """A name of the time zone database."""
    if name not in available_timezones():
        raise ValidationError(_("Enter a time zone such as Asia/Shanghai."))


class AlertDestination(models.Model):
    """A robot or a chat of a messaging service, of one user or, without an owner, of the operators."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_destinations",
    )
    name = models.CharField(_("name"), max_length=64)
    service = models.CharField(max_length=16, editable=False)
    encrypted_address = models.TextField(editable=False)
    address_hint = models.CharField(max_length=32, editable=False)
    language = models.CharField(_("language"), max_length=10, blank=True)
    """Of what is sent; the installation's if empty."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    created_at = models.DateTimeField()
    tested_at = models.DateTimeField(null=True, editable=False)
    test_error = models.CharField(max_length=255, blank=True, editable=False)

    def __str__(self) -> str:
        return self.name

    def set_address(self, address: str) -> None:
        """Encrypt the address, whose parts are secrets; its last four characters stay readable."""
        self.service = address.partition(":")[0]
        self.encrypted_address = encrypt(_ADDRESS_PURPOSE, address)
        self.address_hint = f"{self.service}://…{address[-4:]}"

    def get_address(self) -> str:
        return decrypt(_ADDRESS_PURPOSE, self.encrypted_address)


class AlertRule(models.Model):
    """When somebody wants to be told. A rule with an owner is that user's own and concerns nobody else."""

    name = models.CharField(_("name"), max_length=64)
    kind = models.CharField(_("kind"), max_length=24, choices=AlertKind)
    thresholds = models.JSONField(_("thresholds"), default=list)
    """Decimals as texts, each counted for itself."""
    critical_thresholds = models.JSONField(_("critical thresholds"), default=list, blank=True)
    """Those whose alerts wait neither for the end of the night nor for a digest."""
    scope = models.CharField(_("scope"), max_length=12, choices=AlertScope)
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    minimum_calls = models.PositiveIntegerField(_("least number of calls"), default=20)
    """What an error rate has to be based on."""
    audience = models.CharField(_("who is told"), max_length=9, choices=AlertAudience)
    is_mailed = models.BooleanField(_("by e-mail"), default=True)
    is_sent_to_webhooks = models.BooleanField(_("to webhooks"), default=True)
    destinations = models.ManyToManyField(
        AlertDestination, verbose_name=_("destinations"), blank=True, related_name="rules"
    )
    tells_recovery = models.BooleanField(_("tell when it is over"), default=False)
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(_("quiet until"), null=True, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, validators=[validate_time_zone])
    """Of whoever is told; the installation's if empty."""
    digest_minutes = models.PositiveSmallIntegerField(_("collected for so many minutes"), default=0)
    """0: at once; 1440: once a day, at ``digest_at``."""
    digest_at = models.TimeField(_("daily digest at"), null=True, blank=True)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alert_rules",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
    )
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    """When its alerts last began anew."""
    evaluated_at = models.DateTimeField(null=True, editable=False)
    """None since it was made or changed: it is looked at whether or not anything moved."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(kind__in=AlertKind.values), name="alert_rule_kind_known"
            ),
            models.CheckConstraint(
                condition=(
                    models.Q(scope=AlertScope.CHANNEL, channel__isnull=False, user__isnull=True)
                    | models.Q(scope=AlertScope.USER, channel__isnull=True, user__isnull=False)
                    | models.Q(
                        scope__in=(AlertScope.ALL_CHANNELS, AlertScope.ALL_USERS, AlertScope.SITE),
                        channel__isnull=True,
                        user__isnull=True,
                    )
                ),
                name="alert_rule_scope_names_its_subject",
            ),
            models.CheckConstraint(
                condition=models.Q(owner__isnull=True)
                | models.Q(scope=AlertScope.USER, audience=AlertAudience.USER, user=models.F("owner")),
                name="alert_rule_of_a_user_concerns_them",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["kind", "user"], name="alert_rule_enabled", condition=models.Q(is_enabled=True)
            ),
            models.Index(
                fields=["kind"],
                name="alert_rule_unevaluated",
                condition=models.Q(is_enabled=True, evaluated_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """That a subject crossed a threshold of a rule, until it recovered: one episode.

    The database lets an episode begin once, however many find at the same moment that it does.
    """

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="alerts", db_index=False)
    subject_type = models.CharField(max_length=8, choices=AlertSubject)
    subject_id = models.BigIntegerField()
    """0 for the installation."""
    subject_name = models.CharField(max_length=128)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    """Whose quota it is about, if anybody's."""
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    """Whose rule it is; the operators' without one."""
    threshold = models.DecimalField(max_digits=20, decimal_places=6)
    episode = models.PositiveIntegerField()
    """1, 2, 3 …: recovery makes room for the next."""
    period = models.CharField(max_length=64, blank=True)
    """What the value is counted over; the next begins a new episode by itself."""
    key = models.UUIDField(default=uuid4)
    """Its id for receivers."""
    severity = models.CharField(max_length=8, choices=AlertSeverity)
    value = models.DecimalField(max_digits=20, decimal_places=6)
    facts = models.JSONField(default=dict)
    """What else the text says."""
    raised_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolved_value = models.DecimalField(max_digits=20, decimal_places=6, null=True)
    """None where nobody looks any more: the rule was changed, or the subject is gone."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rule", "subject_type", "subject_id", "threshold", "episode"],
                name="alert_raised_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["subject_type", "subject_id"],
                name="alert_open",
                condition=models.Q(resolved_at__isnull=True),
            ),
            models.Index(fields=["user", "-id"], name="alert_by_user"),
            models.Index(fields=["owner", "-id"], name="alert_by_owner"),
            models.Index(
                fields=["owner", "-id"],
                name="alert_open_by_owner",
                condition=models.Q(resolved_at__isnull=True),
            ),
            models.Index(fields=["rule", "-id"], name="alert_by_rule"),
            models.Index(
                fields=["rule", "-id"],
                name="alert_open_by_rule",
                condition=models.Q(resolved_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.subject_name} at {self.threshold}"

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None


class AlertDelivery(models.Model):
    """One alert for one receiver, from the alert's transaction until they have it: an outbox and a log."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=8, choices=AlertEvent)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    """Who gets a mail; else it is for a destination."""
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    """The alert's."""
    destination = models.ForeignKey(
        AlertDestination, on_delete=models.CASCADE, null=True, related_name="deliveries", db_index=False
    )
    message_id = models.UUIDField(null=True)
    """The message that it went into, from the first attempt on; the receiver sees it again in the next."""
    status = models.CharField(max_length=9, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    """While somebody is sending it; they may be dead when this is over."""
    error = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["alert", "event", "user"],
                condition=models.Q(user__isnull=False),
                name="alert_delivery_mailed_once",
            ),
            models.UniqueConstraint(
                fields=["alert", "event", "destination"],
                condition=models.Q(destination__isnull=False),
                name="alert_delivery_sent_once",
            ),
            models.CheckConstraint(
                condition=models.Q(user__isnull=True, destination__isnull=False)
                | models.Q(user__isnull=False, destination__isnull=True),
                name="alert_delivery_one_receiver",
            ),
            models.CheckConstraint(
                condition=models.Q(status=DeliveryStatus.PENDING, next_attempt_at__isnull=False)
                | (~models.Q(status=DeliveryStatus.PENDING) & models.Q(next_attempt_at__isnull=True)),
                name="alert_delivery_pending_is_due",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["user", "destination", "next_attempt_at"],
                name="alert_delivery_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            models.Index(fields=["destination", "-id"], name="alert_delivery_log"),
            models.Index(fields=["owner", "-id"], name="alert_delivery_by_owner"),
            models.Index(fields=["owner", "status", "-id"], name="alert_delivery_by_status"),
            models.Index(fields=["created_at"], name="alert_delivery_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.event} of alert {self.alert_id}"


class AlertCursor(models.Model):
    """How far an append-only table was looked through; one row for each."""

    name = models.CharField(max_length=16, primary_key=True)
    marks = models.JSONField(default=list)
    """Pairs of a time and the largest id that was there then; what was written up to it was looked at."""

    def __str__(self) -> str:
        return self.name


class QuotaLevel(models.Model):
    """What an account had after its quota was last raised, and by which entry."""

    account_id = models.BigIntegerField(primary_key=True)
    entry_id = models.BigIntegerField()
    """0: it never was."""
    level = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"level of account {self.account_id}"
