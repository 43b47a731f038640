"""The audit log: writing to it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from accounts import audit_chain
from accounts.models import AccessToken, AuditAction, AuditEvent, AuditHead, Role, Token, User
from oneapi_admin.lib import origin

Changes = Mapping[str, Mapping[str, Any]]

_NOTHING: tuple[Any, ...] = ("", [], {})
_SECRET = re.compile(r"(^|_)(key|password|secret|hash|digest)$|encrypted")


def record(
    *, action: AuditAction, actor: User | None, subject: Model, changes: Changes | None = None, name: str = ""
) -> None:
    """Write down who did what, in the transaction of its effect.

    Everybody who writes waits for the head of the chain, so it is the last lock of a transaction: call this
    at the end of a service, when everything else is locked and written.

    :param actor: None for the command line, jobs and the first start
    :param subject: what it was done to; a key's owner is whom the event is about
    :param changes: from :func:`differences`; when there are none nothing happened, and nothing is written
    :param name: of the subject, where it is not what the subject calls itself
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError(
            "an audit event belongs to the transaction of its effect"
        )
    if changes is not None and not changes:
        return
    user = _whom(subject)
    came_from = origin.current()
    head = _locked_head()
    event = AuditEvent(
        id=head.event_id + 1,
        created_at=timezone.now(),
        action=action.value,
        actor=actor,
        actor_name=actor.username if actor else "",
        actor_role=str(actor.role) if actor else "",
        subject_type=action.subject_type.value,
        subject_id=subject.pk,
        subject_name=(name or str(subject))[:255],
        user=user,
        user_role=_role(user, changes or {}),
        changes=changes or {},
        address=came_from.address,
        request_id=came_from.request_id,
        previous_hash=head.event_hash,
    )
    event.hash = audit_chain.event_hash(event)
    event.save(force_insert=True)
    head.event_id, head.event_hash = event.pk, event.hash
    head.seal = audit_chain.seal(event.pk, event.hash)
    head.save(update_fields=["event_id", "event_hash", "seal"])


def values(row: Model, *names: str) -> dict[str, Any]:
    """The fields of a row, to be compared later; of one that is made, after ``{}``."""
    return {name: getattr(row, name) for name in names}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """What is not as it was, as JSON can say it: ``{"group": {"old": "default", "new": "vip"}}``.

    Nothing, an empty text and an empty list are the same.
    """
    if any(_SECRET.search(name) for name in after):
        raise ValueError("a secret does not belong into the audit log")
    pairs = {name: (_or_none(before.get(name)), _or_none(value)) for name, value in after.items()}
    return {
        name: {"old": _plain(old), "new": _plain(new)} for name, (old, new) in pairs.items() if old != new
    }


def _locked_head() -> AuditHead:
    return AuditHead.objects.select_for_update().get(pk=1)


def _whom(subject: Model) -> User | None:
    if isinstance(subject, User):
        return subject
    return subject.user if isinstance(subject, Token | AccessToken) else None


def _role(user: User | None, changes: Changes) -> str:
    """The person's role; root's also while it is given or taken away."""
    if user is None:
        return ""
    is_roots = Role.ROOT in changes.get("role", {}).values()
    return Role.ROOT.value if is_roots else str(user.role)


def _or_none(value: Any) -> Any:
    return None if any(value == nothing for nothing in _NOTHING) else value


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, int):
        return value
    raise TypeError(f"the audit log cannot say {type(value).__name__}")
