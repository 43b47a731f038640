"""The hashes that bind the audit log together; their key is derived from ``SECRET_KEY``.

Whoever can write to the database and does not know the key can damage the log, not forge it.
"""

import json
from collections.abc import Iterator
from datetime import UTC
from hmac import compare_digest

from django.conf import settings

from accounts.models import AuditEvent
from oneapi_admin.lib.secrets import keyed_digest

_EVENT = "accounts.audit_event"
_HEAD = "accounts.audit_head"
_CONTENT = (
    *("id", "previous_hash", "action", "actor_id", "actor_name", "actor_role"),
    *("subject_type", "subject_id", "subject_name", "user_id", "user_role"),
    *("changes", "address", "request_id"),
)


def event_hash(event: AuditEvent) -> str:
    """What the event's ``hash`` has to be, by the newest key."""
    return keyed_digest(_EVENT, settings.SECRET_KEY, _content(event))


def is_genuine(event: AuditEvent) -> bool:
    """Whether the event is as it was written, by any known key."""
    content = _content(event)
    return any(compare_digest(keyed_digest(_EVENT, secret, content), event.hash) for secret in _secrets())


def seal(event_id: int, last_hash: str) -> str:
    """What says that the log ends with this event."""
    return keyed_digest(_HEAD, settings.SECRET_KEY, f"{event_id} {last_hash}")


def is_sealed(event_id: int, last_hash: str, found: str) -> bool:
    """Whether a seal is genuine, by any known key."""
    content = f"{event_id} {last_hash}"
    return any(compare_digest(keyed_digest(_HEAD, secret, content), found) for secret in _secrets())


def _content(event: AuditEvent) -> str:
    """The event as canonical JSON: one text for one content, on both databases."""
    content = {name: getattr(event, name) for name in _CONTENT}
    content["created_at"] = event.created_at.astimezone(UTC).isoformat(timespec="microseconds")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _secrets() -> Iterator[str]:
    yield settings.SECRET_KEY
    yield from settings.SECRET_KEY_FALLBACKS
