"""The relay processes of all machines, and what their journals keep."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from oneapi_admin.health.lines import Line, State, duration
from oneapi_admin.lib.vitals import Vital, Vitals
from relay.heartbeat import KIND

_SILENT_S: Final = 15
"""A process speaks every 5 seconds."""
_LONG_S: Final = 30
_TOO_LONG_S: Final = 600
_FULL: Final = 0.8
_UNTOLD: Final[dict[str, Any]] = {
    **dict.fromkeys(("in_flight", "used", "capacity", "waiting", "abandoned"), 0),
    "has_journal": True,
    "waiting_since": None,
    "last_commit_at": None,
}
"""What is taken of a process whose version does not tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProcess:
    """One process, as it said last."""

    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    is_silent: bool
    has_journal: bool
    in_flight: int
    used: int
    capacity: int
    waiting: int
    abandoned: int
    """Calls that processes of its machine left when they died."""
    waiting_seconds: float
    """For how long there have been such calls without a pause."""
    last_commit_at: datetime | None

    @classmethod
    def of(cls, vital: Vital) -> "RelayProcess":
        facts = {**_UNTOLD, **vital.facts}
        since, committed_at = facts["waiting_since"], facts["last_commit_at"]
        return cls(
            host=facts["host"],
            pid=facts["pid"],
            version=facts["version"],
            started_at=_moment(facts["started_at"]),
            seen_at=_moment(vital.at),
            is_silent=time.time() - vital.at > _SILENT_S,
            has_journal=facts["has_journal"],
            in_flight=facts["in_flight"],
            used=facts["used"],
            capacity=facts["capacity"],
            waiting=facts["waiting"],
            abandoned=facts["abandoned"],
            waiting_seconds=time.time() - since if since else 0.0,
            last_commit_at=_moment(committed_at) if committed_at else None,
        )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def relay_processes(vitals: Vitals) -> list[RelayProcess]:
    return [RelayProcess.of(vital) for vital in vitals.of(KIND)]


def relay_line(processes: Sequence[RelayProcess], *, is_complete: bool) -> Line:
    """
    :param is_complete: whether all are known, and not only the one that answers here
    """
    living = [process for process in processes if not process.is_silent]
    silent = len(processes) - len(living)
    without_journal = sum(not process.has_journal for process in living)
    state, advice = _relay_state(processes, living, is_complete=is_complete)
    value = ngettext("%(count)s process", "%(count)s processes", len(living)) % {"count": len(living)}
    if without_journal:
        value += _(", ") + _("%(count)s without a journal") % {"count": without_journal}
    if silent:
        value += _(", ") + _("%(count)s silent") % {"count": silent}
    return Line(
        code="relay",
        title=_("Relay processes"),
        state=state,
        value=value,
        advice=advice,
        facts={
            "processes": len(living),
            "silent": silent,
            "without_journal": without_journal,
            "in_flight": sum(process.in_flight for process in living),
        },
    )


def _relay_state(
    processes: Sequence[RelayProcess], living: Sequence[RelayProcess], *, is_complete: bool
) -> tuple[State, str]:
    if not all(process.has_journal for process in living):
        return State.ERROR, _(
            "A process has no journal and refuses calls: make room in JOURNAL_DIR and let it be written to."
        )
    if not is_complete:
        return State.WARNING, _only_this_one()
    if not living:
        return State.ERROR, _("None has told for 15 seconds: start the role “web”.")
    if len(living) < len(processes):
        return State.WARNING, _(
            "One fell silent without taking leave: it died or hangs. Look at its log; ten minutes later it is"
            " forgotten here."
        )
    if len({process.version for process in living}) > 1:
        return State.WARNING, _("They are of different versions: restart those of the older one.")
    return State.OK, ""


def _only_this_one() -> str:
    return _("Only the process that answers here is known: the others tell through Redis.")


def journal_line(processes: Sequence[RelayProcess], *, is_complete: bool) -> Line:
    """How many calls are over and wait for the database, in all journals together."""
    living = [process for process in processes if not process.is_silent]
    waiting = sum(process.waiting for process in living) + _abandoned(living)
    longest = max((process.waiting_seconds for process in living), default=0.0)
    state, advice = _journal_state(living, longest)
    if state == State.OK and not is_complete:
        state, advice = State.WARNING, _only_this_one()
    return Line(
        code="journal",
        title=_("Calls waiting for the database"),
        state=state,
        value=_journal_text(waiting, longest),
        advice=advice,
        facts={
            "waiting": waiting,
            "waiting_seconds": round(longest),
            "used": sum(process.used for process in living),
            "capacity": sum(process.capacity for process in living),
        },
    )


def _abandoned(living: Sequence[RelayProcess]) -> int:
    """What processes that died left; all of a machine see the same."""
    by_host: dict[str, int] = {}
    for process in living:
        by_host[process.host] = max(process.abandoned, by_host.get(process.host, 0))
    return sum(by_host.values())


def _journal_state(living: Sequence[RelayProcess], longest: float) -> tuple[State, str]:
    is_nearly_full = any(process.used > _FULL * process.capacity for process in living)
    if longest > _TOO_LONG_S or (is_nearly_full and longest > _LONG_S):
        return State.ERROR, _(
            "Bring the database back before the journals are full: then calls are refused. Do not delete"
            " JOURNAL_DIR: what is in it is charged when the database answers."
        )
    if longest > _LONG_S:
        return State.WARNING, _(
            "The relay cannot write to the database. Nothing is lost: calls are charged when it answers."
        )
    if is_nearly_full:
        return State.WARNING, _(
            "A process has nearly as many calls in flight as it may: start more processes or raise"
            " RELAY_MAX_CALLS."
        )
    return State.OK, ""


def _journal_text(waiting: int, longest: float) -> str:
    if not waiting:
        return _("none")
    text = ngettext("%(count)s call, for %(time)s", "%(count)s calls, for %(time)s", waiting)
    return text % {"count": f"{waiting:,}", "time": duration(longest)}
