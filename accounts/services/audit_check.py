"""The audit log: proving that nobody has touched it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from accounts import audit_chain
from accounts.models import AuditEvent, AuditHead, AuditLogCheck

_PORTION = 1000
_BEFORE_ALL = -(2**63)
"""Also of a number that no event can have."""


class Flaw(StrEnum):
    """What is wrong with the first event that is not in order."""

    MISSING = "missing"
    CHANGED = "changed"
    UNCHAINED = "unchained"
    """It does not follow from the event before it."""
    NOT_THE_END = "not the end"
    """The log is said to end elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How far the log is proved: all of it, or up to the event that is not in order."""

    checked: int
    """Events in order, from the first one."""
    last_hash: str
    """Of the last of them. Kept elsewhere, it proves later that these are still the same events."""
    flaw: Flaw | None = None
    event_id: int | None = None
    """The event with the flaw."""


def verify() -> Verdict:
    """Check every event and the end of the log, in portions, while events are added.

    The end is read before the portion that reaches it: what was written in between is in the next one.
    """
    last, last_hash, read_to = 0, "", _BEFORE_ALL
    while True:
        head = AuditHead.objects.filter(pk=1).first()
        portion = list(AuditEvent.objects.filter(pk__gt=read_to).order_by("pk")[:_PORTION])
        for event in portion:
            flaw = _flaw(event, last, last_hash)
            if flaw is not None:
                event_id = last + 1 if flaw is Flaw.MISSING else event.pk
                return Verdict(checked=last, last_hash=last_hash, flaw=flaw, event_id=event_id)
            last = read_to = event.pk
            last_hash = event.hash
        if not portion:
            flaw = _flaw_of_end(head, last, last_hash)
            end = None if flaw is None else last + (flaw is Flaw.MISSING)
            return Verdict(checked=last, last_hash=last_hash, flaw=flaw, event_id=end)


def record_check(*, verdict: Verdict, finished_at: datetime) -> AuditLogCheck:
    """Keep the result for the operators."""
    return AuditLogCheck.objects.create(
        finished_at=finished_at,
        checked=verdict.checked,
        last_hash=verdict.last_hash,
        flaw=verdict.flaw or "",
        event_id=verdict.event_id,
    )


def last_result() -> AuditLogCheck | None:
    """The newest recorded verification, if there is one."""
    return AuditLogCheck.objects.order_by("-pk").first()


def _flaw(event: AuditEvent, last: int, last_hash: str) -> Flaw | None:
    if event.pk > last + 1:
        return Flaw.MISSING
    if event.pk != last + 1 or not audit_chain.is_genuine(event):
        return Flaw.CHANGED
    return None if event.previous_hash == last_hash else Flaw.UNCHAINED


def _flaw_of_end(head: AuditHead | None, last: int, last_hash: str) -> Flaw | None:
    if head is None or not audit_chain.is_sealed(head.event_id, head.event_hash, head.seal):
        return Flaw.NOT_THE_END
    if head.event_id > last:
        return Flaw.MISSING
    return None if (head.event_id, head.event_hash) == (last, last_hash) else Flaw.NOT_THE_END
