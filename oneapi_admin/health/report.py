"""Everything at once."""

import platform
from dataclasses import dataclass
from datetime import datetime

import django
from django.utils.translation import gettext as _

from oneapi_admin import __version__
from oneapi_admin.health.codes import codes_line
from oneapi_admin.health.jobs import job_lines
from oneapi_admin.health.lines import Line, State, worst
from oneapi_admin.health.records import record_lines
from oneapi_admin.health.relays import RelayProcess, journal_line, relay_line, relay_processes
from oneapi_admin.health.stores import database_lines, disk_lines, redis_line
from oneapi_admin.lib import vitals


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the installation is doing at a moment."""

    at: datetime
    lines: list[Line]
    processes: list[RelayProcess]

    @property
    def state(self) -> State:
        return worst(line.state for line in self.lines)

    @property
    def troubles(self) -> list[Line]:
        """The lines that want attention, the worst first."""
        return [line for state in (State.ERROR, State.WARNING) for line in self.lines if line.state == state]


def take_report(*, at: datetime) -> Report:
    """Look at everything; what is away is told as being away, and waited for less than two seconds."""
    known = vitals.read()
    processes = relay_processes(known)
    lines = [
        relay_line(processes, is_complete=known.store is not None),
        journal_line(processes, is_complete=known.store is not None),
        *database_lines(),
        redis_line(known),
        *job_lines(known),
        *record_lines(at),
        codes_line(at),
        *disk_lines(),
        _version_line(),
    ]
    return Report(at=at, lines=lines, processes=processes)


def _version_line() -> Line:
    python = platform.python_version()
    return Line(
        code="version",
        title=_("Version"),
        state=State.OK,
        value=f"{__version__}, Python {python}, Django {django.__version__}",
        facts={"version": __version__, "python": python, "django": django.__version__},
    )
