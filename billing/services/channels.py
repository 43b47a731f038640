"""Connecting, changing and removing upstream accounts."""

from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import Channel, ChannelStatus, ChannelTotals, WebhookEvent
from billing.services import webhooks
from billing.services.config import bump_version

_SETTINGS = (
    "name",
    "base_url",
    "encrypted_key",
    "key_hint",
    "models",
    "model_mapping",
    "groups",
    "priority",
    "weight",
    "cost_multiplier",
    "updated_at",
)
"""What an edit writes: never the status or the last test, which change by themselves."""

_AUDITED = tuple(name for name in _SETTINGS if name not in ("encrypted_key", "key_hint", "updated_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """What an operator says of a channel."""

    name: str
    base_url: str
    models: list[str]
    model_mapping: dict[str, str] = field(default_factory=dict)
    groups: list[str] = field(default_factory=lambda: ["default"])
    priority: int = 0
    weight: int = 1
    cost_multiplier: Decimal = Decimal(1)


def create_channel(
    *, actor: User | None, settings: ChannelSettings, key: str, is_sandbox: bool = False
) -> Channel:
    """Connect an upstream account.

    :param actor: None for the sandbox's own
    :param key: the provider's key; kept encrypted and never shown again
    :raises ValidationError: if a field is not valid
    """
    channel = Channel(is_sandbox=is_sandbox)
    with transaction.atomic():
        channel.set_key(key)
        _apply(channel, settings)
        ChannelTotals.objects.create(channel=channel)
        bump_version()
        _tell(channel, before=None, after=channel.status)
        changes = audit.differences({}, audit.values(channel, *_AUDITED))
        audit.record(action=AuditAction.CHANNEL_CREATED, actor=actor, subject=channel, changes=changes)
    return channel


def update_channel(
    *, actor: User | None, channel: Channel, settings: ChannelSettings, key: str = ""
) -> Channel:
    """Change a channel; without ``key`` it keeps the one it has.

    A new base URL needs the key again, so that nobody can have a stored key sent elsewhere.

    :raises ValidationError: if a field is not valid
    """
    if not key:
        check_key_may_go_to(channel=channel, base_url=settings.base_url)
    before = {**audit.values(channel, *_AUDITED), "key_replaced": False}
    with transaction.atomic():
        if key:
            channel.set_key(key)
        _apply(channel, settings)
        bump_version()
        after = {**audit.values(channel, *_AUDITED), "key_replaced": bool(key)}
        changes = audit.differences(before, after)
        audit.record(action=AuditAction.CHANNEL_UPDATED, actor=actor, subject=channel, changes=changes)
    return channel


def check_key_may_go_to(*, channel: Channel, base_url: str) -> None:
    """
    :raises ValidationError: if the stored key belongs to another host
    """
    if _origin(base_url) != _origin(channel.base_url):
        raise ValidationError({"key": _("Enter the key again to send it to another address.")})


def set_channel_status(*, actor: User, channel: Channel, is_enabled: bool) -> None:
    """Enable or disable a channel by hand, from the next call on."""
    status = ChannelStatus.ENABLED if is_enabled else ChannelStatus.MANUALLY_DISABLED
    change_status(actor=actor, channel_id=channel.pk, status=status)


def change_status(*, actor: User | None, channel_id: int, status: ChannelStatus) -> None:
    """Give a channel a status, and tell webhooks if it had another; the only way to change one.

    :param actor: None where nobody decided it
    """
    with transaction.atomic():
        channel = Channel.objects.select_for_update().filter(pk=channel_id).first()
        if channel is None or channel.status == status:
            return
        Channel.objects.filter(pk=channel_id).update(status=status)
        bump_version()
        _tell(channel, before=channel.status, after=status)
        changes = audit.differences({"status": channel.status}, {"status": status})
        audit.record(action=AuditAction.CHANNEL_STATUS_CHANGED, actor=actor, subject=channel, changes=changes)


def delete_channel(*, actor: User, channel: Channel) -> None:
    """Remove a channel with its key and balances; the usage it served stays."""
    with transaction.atomic():
        present = Channel.objects.select_for_update().filter(pk=channel.pk).first()
        if present is None:
            return
        Channel.objects.filter(pk=channel.pk).delete()
        bump_version()
        _tell(present, before=present.status, after=None)
        audit.record(action=AuditAction.CHANNEL_DELETED, actor=actor, subject=present)


def _tell(channel: Channel, *, before: str | None, after: str | None) -> None:
    webhooks.emit(
        event=WebhookEvent.CHANNEL_STATE_CHANGED,
        data={"channel_id": channel.pk, "name": channel.name, "status_before": before, "status": after},
        at=timezone.now(),
    )


def _apply(channel: Channel, settings: ChannelSettings) -> None:
    channel.name, channel.base_url = settings.name, normalized_base_url(settings.base_url)
    channel.models, channel.groups = settings.models, settings.groups
    channel.model_mapping = settings.model_mapping
    channel.priority, channel.weight = settings.priority, settings.weight
    channel.cost_multiplier = settings.cost_multiplier
    channel.full_clean()
    channel.save(update_fields=None if channel.pk is None else _SETTINGS)


def normalized_base_url(url: str) -> str:
    """The address without a final ``/v1``, which every call adds: both ways of writing it mean the same."""
    scheme, separator, rest = url.strip().rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}{(slash + path).removesuffix('/v1').rstrip('/')}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
