"""Reading the audit log, as far as somebody may."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import AuditAction, AuditEvent, Role, SubjectType, User, UserStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilters:
    """What the log is narrowed to. People are found by their number, and by their user name as a text."""

    actor: int | str = ""
    user: int | str = ""
    action: str = ""
    subject_type: str = ""
    subject_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Not included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A field, its value before and its value after, in words."""

    label: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEvent:
    """An event as somebody may see it: to those below root, root is a role and not a person."""

    event: AuditEvent
    actor_id: int | None
    actor_name: str
    actor_role: str
    address: str
    request_id: str

    @classmethod
    def by(cls, viewer: User, event: AuditEvent) -> "SeenEvent":
        """
        :param event: with its ``actor``
        """
        actor = event.actor
        is_roots = actor is not None and (actor.is_root or event.actor_role == Role.ROOT)
        if is_roots and not viewer.is_root:
            root = Role.ROOT.value
            return cls(event=event, actor_id=None, actor_name="", actor_role=root, address="", request_id="")
        return cls(
            event=event,
            actor_id=event.actor_id,
            actor_name=event.actor_name,
            actor_role=event.actor_role,
            address=event.address,
            request_id=event.request_id,
        )

    @property
    def action(self) -> str:
        return _label(AuditAction, self.event.action)

    @property
    def subject_type(self) -> str:
        return _label(SubjectType, self.event.subject_type)

    @property
    def owner(self) -> User | None:
        """Whose key it is about."""
        return None if self.event.subject_type == SubjectType.USER else self.event.user

    @property
    def changes(self) -> Iterator[Change]:
        for name, change in self.event.changes.items():
            label = str(_FIELDS.get(name, name))
            old, new = (_in_words(_known(name, change[side])) for side in ("old", "new"))
            yield Change(label=label, old=old, new=new)


def audit_events(*, viewer: User, filters: AuditFilters) -> QuerySet[AuditEvent]:
    """The events that somebody may see, with the people in them, narrowed to those that fit."""
    events: QuerySet[AuditEvent] = AuditEvent.objects.visible_to(viewer).select_related("actor", "user")
    if filters.actor:
        events = events.filter(actor__in=_numbers(viewer, filters.actor))
    if filters.user:
        events = events.filter(user__in=_numbers(viewer, filters.user))
    exact = {
        "action": filters.action or None,
        "subject_type": filters.subject_type or None,
        "subject_id": filters.subject_id,
        "created_at__gte": filters.since,
        "created_at__lt": filters.until,
    }
    return events.filter(**{name: value for name, value in exact.items() if value is not None})


def _numbers(viewer: User, wanted: int | str) -> list[int]:
    """Who is meant; nobody below root finds out which of the names or numbers is root's.

    Read beforehand, so that the list itself is read by an index and in order.
    """
    found = Q(pk=wanted) if isinstance(wanted, int) else Q(username__iexact=wanted)
    if isinstance(wanted, str) and wanted.isascii() and wanted.isdigit() and len(wanted) <= 18:
        found |= Q(pk=int(wanted))
    people = User.objects.filter(found)
    if not viewer.is_root:
        people = people.exclude(role=Role.ROOT)
    return list(people.values_list("pk", flat=True))


def _label(choices: type[AuditAction] | type[SubjectType], value: str) -> str:
    """The name in the reader's language; as it is where a newer version wrote it."""
    return str(choices(value).label) if value in choices.values else value


def _known(name: str, value: Any) -> Any:
    """A role or a state by its name in the reader's language."""
    names = _VALUES.get(name, {})
    return names.get(value, value) if isinstance(value, str) else value


def _in_words(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} → {item}" for name, item in value.items())
    return str(value)


_VALUES: dict[str, dict[str, str | Promise]] = {
    "role": {role.value: role.label for role in Role},
    "status": {
        **{status.value: status.label for status in UserStatus},
        "manually_disabled": gettext_lazy("Disabled by an operator"),
        "auto_disabled": gettext_lazy("Disabled automatically"),
        "creating": gettext_lazy("Being made"),
        "ready": gettext_lazy("Ready"),
        "revoked": gettext_lazy("Revoked"),
        "cancelled": gettext_lazy("Cancelled"),
        "failed": gettext_lazy("Failed"),
    },
}
_FIELDS: dict[str, str | Promise] = {
    "approval_threshold": gettext_lazy("approval above, in quota units"),
    "allowed_models": gettext_lazy("allowed models"),
    "allowed_networks": gettext_lazy("allowed networks"),
    "base_url": gettext_lazy("base URL"),
    "cached_input_price": gettext_lazy("cached input"),
    "cost_multiplier": gettext_lazy("cost multiplier"),
    "count": gettext_lazy("number of codes"),
    "display_name": gettext_lazy("display name"),
    "email": gettext_lazy("e-mail"),
    "events": gettext_lazy("events"),
    "expires_at": gettext_lazy("expires"),
    "format": gettext_lazy("format"),
    "group": gettext_lazy("group"),
    "groups": gettext_lazy("groups"),
    "host": gettext_lazy("address"),
    "input_price": gettext_lazy("input"),
    "is_enabled": gettext_lazy("enabled"),
    "is_signup_open": gettext_lazy("people may sign up"),
    "key_replaced": gettext_lazy("key replaced"),
    "max_output_tokens": gettext_lazy("longest answer"),
    "model_mapping": gettext_lazy("model mapping"),
    "models": gettext_lazy("models"),
    "multiplier": gettext_lazy("multiplier"),
    "name": gettext_lazy("name"),
    "output_price": gettext_lazy("output"),
    "per_usd": gettext_lazy("for one US dollar"),
    "priority": gettext_lazy("priority"),
    "quota": gettext_lazy("quota units"),
    "quota_limit": gettext_lazy("quota limit in units"),
    "request_price": gettext_lazy("per request"),
    "role": gettext_lazy("role"),
    "scopes": gettext_lazy("scopes"),
    "status": gettext_lazy("status"),
    "tag": gettext_lazy("tag"),
    "url_replaced": gettext_lazy("address replaced"),
    "uses_per_code": gettext_lazy("uses of each code"),
    "uses_per_user": gettext_lazy("uses of a code by one person"),
    "valid_from": gettext_lazy("valid from"),
    "valid_until": gettext_lazy("valid until"),
    "weight": gettext_lazy("weight"),
}
