"""Connecting, changing and removing upstream accounts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from urllib.parse import urlsplit

from cryptography.fernet import InvalidToken
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import (
    BalancePoll,
    Channel,
    ChannelStatus,
    ChannelTotals,
    DisabledReason,
    WebhookEvent,
)
from billing.services import webhooks
from billing.services.config import bump_version
from billing.upstream.balances.registry import ADAPTERS, guess

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
    "balance_source",
    "encrypted_balance_access",
    "balance_access_hints",
    "balance_minutes",
    "drift_tolerance",
    "updated_at",
)
"""What an edit writes: never the status or the last test, which change by themselves."""

_UNAUDITED = ("encrypted_key", "key_hint", "encrypted_balance_access", "balance_access_hints", "updated_at")
_AUDITED = tuple(name for name in _SETTINGS if name not in _UNAUDITED)


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
    balance_source: str = ""
    """The code of the adapter that reads the balance; empty to have it guessed from the base URL."""
    balance_minutes: int = 10
    drift_tolerance: Decimal = Decimal(5)

    @classmethod
    def of(cls, channel: Channel) -> "ChannelSettings":
        """Those that a channel has."""
        return cls(**{one.name: getattr(channel, one.name) for one in fields(cls)})


def create_channel(
    *,
    actor: User | None,
    settings: ChannelSettings,
    key: str,
    balance_access: Mapping[str, str] | None = None,
    is_sandbox: bool = False,
) -> Channel:
    """Connect an upstream account.

    :param actor: None for the sandbox's own
    :param key: the provider's key; kept encrypted and never shown again
    :param balance_access: credentials that read the balance, by the names of the adapter's fields
    :raises ValidationError: if a field is not valid
    """
    channel = Channel(is_sandbox=is_sandbox)
    with transaction.atomic():
        channel.set_key(key)
        _apply(channel, settings, balance_access or {})
        ChannelTotals.objects.create(channel=channel)
        BalancePoll.objects.create(channel=channel, due_at=channel.created_at)
        bump_version()
        _tell(channel, before=None, after=channel.status)
        changes = audit.differences({}, audit.values(channel, *_AUDITED))
        audit.record(action=AuditAction.CHANNEL_CREATED, actor=actor, subject=channel, changes=changes)
    return channel


def update_channel(
    *,
    actor: User | None,
    channel: Channel,
    settings: ChannelSettings,
    key: str = "",
    balance_access: Mapping[str, str] | None = None,
) -> Channel:
    """Change a channel; without ``key`` it keeps the one it has.

    A new base URL needs the key again, and so do the credentials for the balance where they go to the same
    host, so that nobody can have a stored secret sent elsewhere.

    :param balance_access: those of its fields that are entered anew; the others stay as they are
    :raises ValidationError: if a field is not valid
    """
    if not key:
        check_key_may_go_to(channel=channel, base_url=settings.base_url)
    before = {**audit.values(channel, *_AUDITED), "key_replaced": False, "balance_access_replaced": False}
    kept = kept_access(channel, source=settings.balance_source, base_url=settings.base_url)
    before_access = _account(channel)
    with transaction.atomic():
        if key:
            channel.set_key(key)
        _apply(channel, settings, {**kept, **(balance_access or {})})
        bump_version()
        _ask_anew(channel, is_another=before_access != _account(channel))
        after = {
            **audit.values(channel, *_AUDITED),
            "key_replaced": bool(key),
            "balance_access_replaced": bool(balance_access),
        }
        changes = audit.differences(before, after)
        audit.record(action=AuditAction.CHANNEL_UPDATED, actor=actor, subject=channel, changes=changes)
    return channel


def check_key_may_go_to(*, channel: Channel, base_url: str) -> None:
    """
    :raises ValidationError: if the stored key belongs to another host
    """
    if _origin(base_url) != _origin(channel.base_url):
        raise ValidationError({"key": _("Enter the key again to send it to another address.")})


def _account(channel: Channel) -> tuple[str, ...]:
    """Whose money is read: another one's is not compared with it."""
    return (
        channel.source_of_balance,
        channel.base_url,
        channel.encrypted_key,
        json.dumps(_readable_access(channel), sort_keys=True),
    )


def _ask_anew(channel: Channel, *, is_another: bool) -> None:
    """Ask at once; who is asking at this moment asks with what was before, and is not heard."""
    poll = BalancePoll.objects.filter(pk=channel.pk)
    poll.update(due_at=timezone.now(), claimed_until=None, failures=0, error="", is_refused=False)
    if is_another:
        poll.update(told=[], empty_since=None)


def kept_access(channel: Channel, *, source: str, base_url: str) -> dict[str, str]:
    """The stored credentials for the balance that may still be used with other settings.

    None of another adapter's; and none where they would go to another host.
    """
    adapter = ADAPTERS.get(source or guess(base_url))
    if adapter is None or adapter.code != channel.source_of_balance:
        return {}
    is_elsewhere = _origin(normalized_base_url(base_url)) != _origin(channel.base_url)
    return {} if is_elsewhere and not adapter.admin_hosts else _readable_access(channel)


def _readable_access(channel: Channel) -> dict[str, str]:
    try:
        return channel.get_balance_access()
    except InvalidToken:  # the secret that they were encrypted with is gone: they have to be entered anew
        return {}


def set_channel_status(*, actor: User, channel: Channel, is_enabled: bool) -> None:
    """Enable or disable a channel by hand, from the next call on."""
    status = ChannelStatus.ENABLED if is_enabled else ChannelStatus.MANUALLY_DISABLED
    change_status(actor=actor, channel_id=channel.pk, status=status)


def change_status(
    *, actor: User | None, channel_id: int, status: ChannelStatus, reason: DisabledReason | None = None
) -> None:
    """Give a channel a status, and tell webhooks if it had another; the only way to change one.

    :param actor: None where nobody decided it
    :param reason: why it is disabled automatically
    """
    with transaction.atomic():
        channel = Channel.objects.select_for_update().filter(pk=channel_id).first()
        if channel is None or channel.status == status:
            return
        Channel.objects.filter(pk=channel_id).update(status=status, disabled_reason=reason or "")
        bump_version()
        _tell(channel, before=channel.status, after=status, reason=reason)
        changes = audit.differences(
            {"status": channel.status, "reason": channel.disabled_reason},
            {"status": status, "reason": reason or ""},
        )
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


def _tell(
    channel: Channel, *, before: str | None, after: str | None, reason: DisabledReason | None = None
) -> None:
    webhooks.emit(
        event=WebhookEvent.CHANNEL_STATE_CHANGED,
        data={
            "channel_id": channel.pk,
            "name": channel.name,
            "status_before": before,
            "status": after,
            "reason": reason or "",
        },
        at=timezone.now(),
    )


def _apply(channel: Channel, settings: ChannelSettings, balance_access: Mapping[str, str]) -> None:
    channel.name, channel.base_url = settings.name, normalized_base_url(settings.base_url)
    channel.models, channel.groups = settings.models, settings.groups
    channel.model_mapping = settings.model_mapping
    channel.priority, channel.weight = settings.priority, settings.weight
    channel.cost_multiplier = settings.cost_multiplier
    channel.balance_source = settings.balance_source
    channel.balance_minutes, channel.drift_tolerance = settings.balance_minutes, settings.drift_tolerance
    _apply_balance_access(channel, balance_access)
    channel.full_clean()
    channel.save(update_fields=None if channel.pk is None else _SETTINGS)


def _apply_balance_access(channel: Channel, entered: Mapping[str, str]) -> None:
    """Keep the credentials that the adapter has fields for.

    :raises ValidationError: if there is no such adapter, or one of the credentials that it needs is missing
    """
    adapter = ADAPTERS.get(channel.source_of_balance)
    if adapter is None:
        raise ValidationError({"balance_source": _("There is no such source of balances.")})
    credentials = {field.name: entered[field.name] for field in adapter.fields if entered.get(field.name)}
    missing = [field for field in adapter.fields if field.is_required and field.name not in credentials]
    if missing and channel.balance_source:  # what was only guessed must not stand in the way
        labels = ", ".join(str(field.label) for field in missing)
        raise ValidationError({"balance_source": _("Enter this first: %(field)s.") % {"field": labels}})
    channel.set_balance_access(credentials)
    channel.balance_access_hints = {
        field.name: f"…{credentials[field.name][-4:]}" if field.is_secret else credentials[field.name]
        for field in adapter.fields
        if field.name in credentials
    }


def normalized_base_url(url: str) -> str:
    """The address without a final ``/v1``, which every call adds: both ways of writing it mean the same."""
    scheme, separator, rest = url.strip().rstrip("/").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}{(slash + path).removesuffix('/v1').rstrip('/')}"


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
