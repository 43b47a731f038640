"""Who did what: a log that can be added to and nothing else, each event bound to the one before it."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.users import Role, User


class AuditAction(models.TextChoices):
    """What is audited. Before the point stands the kind of thing it is done to; names are for ever."""

    USER_CREATED = "user.created", _("User created")
    USER_SIGNED_UP = "user.signed_up", _("User signed up")
    USER_UPDATED = "user.updated", _("User changed")
    USER_ROLE_CHANGED = "user.role_changed", _("Role changed")
    USER_STATUS_CHANGED = "user.status_changed", _("User enabled or disabled")
    USER_PASSWORD_SET = "user.password_set", _("Password set")
    USER_DELETED = "user.deleted", _("User deleted")
    TOKEN_CREATED = "token.created", _("Token created")
    TOKEN_UPDATED = "token.updated", _("Token changed")
    TOKEN_STATUS_CHANGED = "token.status_changed", _("Token enabled or disabled")
    TOKEN_ROTATED = "token.rotated", _("Token given a new key")
    TOKEN_DELETED = "token.deleted", _("Token deleted")
    ACCESS_TOKEN_CREATED = "access_token.created", _("Access token created")
    ACCESS_TOKEN_ROTATED = "access_token.rotated", _("Access token given a new key")
    ACCESS_TOKEN_REVOKED = "access_token.revoked", _("Access token revoked")
    SITE_UPDATED = "site.updated", _("Site settings changed")
    CHANNEL_CREATED = "channel.created", _("Channel created")
    CHANNEL_UPDATED = "channel.updated", _("Channel changed")
    CHANNEL_STATUS_CHANGED = "channel.status_changed", _("Channel enabled or disabled")
    CHANNEL_BALANCE_ENTERED = "channel.balance_entered", _("Balance of a channel entered")
    CHANNEL_DELETED = "channel.deleted", _("Channel deleted")
    MODEL_PRICE_SET = "model_price.set", _("Price of a model set")
    MODEL_PRICE_WITHDRAWN = "model_price.withdrawn", _("Price of a model withdrawn")
    GROUP_PRICE_SET = "group_price.set", _("Multiplier of a group set")
    EXCHANGE_RATE_SET = "exchange_rate.set", _("Exchange rate set")
    WEBHOOK_CREATED = "webhook.created", _("Webhook created")
    WEBHOOK_UPDATED = "webhook.updated", _("Webhook changed")
    WEBHOOK_STATUS_CHANGED = "webhook.status_changed", _("Webhook enabled or disabled")
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated", _("Webhook given a new secret")
    WEBHOOK_DELETED = "webhook.deleted", _("Webhook deleted")
    CODE_BATCH_CREATED = "code_batch.created", _("Codes created")
    CODE_BATCH_CANCELLED = "code_batch.cancelled", _("Making of codes cancelled")
    CODE_BATCH_RETRIED = "code_batch.retried", _("Making of codes tried again")
    CODE_BATCH_STATUS_CHANGED = "code_batch.status_changed", _("Batch of codes enabled or disabled")
    CODE_BATCH_REVOKED = "code_batch.revoked", _("Batch of codes revoked")
    CODES_DOWNLOADED = "code_batch.downloaded", _("Codes downloaded")
    CODES_FORGOTTEN = "code_batch.forgotten", _("Download of codes confirmed")
    CODE_STATUS_CHANGED = "code.status_changed", _("Code enabled or disabled")
    ALERT_RULE_CREATED = "alert_rule.created", _("Alert rule created")
    ALERT_RULE_UPDATED = "alert_rule.updated", _("Alert rule changed")
    ALERT_RULE_STATUS_CHANGED = "alert_rule.status_changed", _("Alert rule enabled or disabled")
    ALERT_RULE_DELETED = "alert_rule.deleted", _("Alert rule deleted")
    DESTINATION_CREATED = "destination.created", _("Destination of alerts added")
    DESTINATION_DELETED = "destination.deleted", _("Destination of alerts removed")

    @property
    def subject_type(self) -> "SubjectType":
        return SubjectType(self.value.partition(".")[0])


class SubjectType(models.TextChoices):
    """What something is done to."""

    USER = "user", _("User")
    TOKEN = "token", _("Token")
    ACCESS_TOKEN = "access_token", _("Access token")
    SITE = "site", _("Site settings")
    CHANNEL = "channel", _("Channel")
    MODEL_PRICE = "model_price", _("Price of a model")
    GROUP_PRICE = "group_price", _("Multiplier of a group")
    EXCHANGE_RATE = "exchange_rate", _("Exchange rate")
    WEBHOOK = "webhook", _("Webhook")
    CODE_BATCH = "code_batch", _("Batch of codes")
    CODE = "code", _("Code")
    ALERT_RULE = "alert_rule", _("Alert rule")
    DESTINATION = "destination", _("Destination of alerts")


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def visible_to(self, viewer: User) -> "AuditEventQuerySet":
        """Everything for root; for administrators what is about nobody, about users, or done by themselves.

        Never what is, or was then, about root: nobody below root sees root's affairs.
        """
        if viewer.is_root:
            return self.all()
        if not viewer.is_operator:
            return self.none()
        nobodys, below = models.Q(user__isnull=True), models.Q(user__role=Role.USER)
        roots = models.Q(user__role=Role.ROOT) | models.Q(user_role=Role.ROOT)
        return self.filter(nobodys | below | models.Q(actor=viewer)).exclude(roots)


class AuditEvent(models.Model):
    """One act, written in the transaction of its effect. Names and roles are as they were then.

    Append-only: the database refuses to change or delete it.
    """

    id = models.BigIntegerField(primary_key=True)
    """1, 2, 3 …: a number that is missing was taken away."""
    created_at = models.DateTimeField(_("time"))
    action = models.CharField(_("action"), max_length=32)
    # No constraints on people: the check for them would wait for who has them locked and waits for us.
    actor = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False
    )
    """None for the command line, jobs and the first start."""
    actor_name = models.CharField(max_length=64, blank=True)
    actor_role = models.CharField(max_length=8, blank=True)
    subject_type = models.CharField(max_length=16)
    subject_id = models.BigIntegerField()
    subject_name = models.CharField(max_length=255)
    user = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, db_constraint=False
    )
    """Whom it is about: the person themselves, or whose key it is."""
    user_role = models.CharField(max_length=8, blank=True)
    changes = models.JSONField(default=dict)
    """By field, ``{"old": …, "new": …}``; never a key, a password or a hash of one."""
    address = models.CharField(max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)
    """Of everything above, made with a key that is not in the database."""

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["actor", "-id"], name="audit_event_by_actor"),
            models.Index(fields=["user", "-id"], name="audit_event_by_user"),
            models.Index(fields=["action", "-id"], name="audit_event_by_action"),
            models.Index(fields=["subject_type", "-id"], name="audit_event_by_type"),
            models.Index(fields=["subject_type", "subject_id", "-id"], name="audit_event_by_subject"),
            models.Index(fields=["created_at"], name="audit_event_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject_name}"


class AuditHead(models.Model):
    """The end of the chain: one row, made by a migration and locked by whoever adds an event."""

    event_id = models.BigIntegerField(default=0)
    event_hash = models.CharField(max_length=64, blank=True)
    seal = models.CharField(max_length=64)
    """A keyed hash of both, so that nobody can shorten the log and say that it ended earlier."""

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(id=1), name="audit_head_single_row"),
        ]

    def __str__(self) -> str:
        return f"event {self.event_id}"
