"""The database and its clock, Redis, and the room on the disks."""

import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from oneapi_admin.health.lines import Line, State
from oneapi_admin.lib.vitals import Vitals

_SLOW_MS: Final = 100
_SKEW_S: Final = 2
_LITTLE_ROOM: Final = 1024**3
_NO_ROOM: Final = 128 * 1024**2
_DATABASES: Final = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Database:
    version: str
    milliseconds: float
    size: int
    clock_ahead: float | None
    """By how many seconds its clock is ahead of this machine's; None for a file, which has none."""


def database_lines() -> list[Line]:
    """The database and, where it has a clock of its own, that beside this machine's."""
    found = _ask_postgresql() if connection.vendor == "postgresql" else _ask_sqlite()
    lines = [_database_line(found)]
    if found.clock_ahead is not None:
        lines.append(_clock_line(found.clock_ahead))
    return lines


def _database_line(found: _Database) -> Line:
    is_slow = found.milliseconds > _SLOW_MS
    return Line(
        code="database",
        title=_("Database"),
        state=State.WARNING if is_slow else State.OK,
        value=_("%(name)s %(version)s, answers in %(ms)s ms, %(size)s")
        % {
            "name": _DATABASES[connection.vendor],
            "version": found.version,
            "ms": f"{found.milliseconds:.1f}",
            "size": filesizeformat(found.size),
        },
        advice=_("It is slow to answer: look at its load, its disk and the network to it.")
        if is_slow
        else "",
        facts={
            "kind": connection.vendor,
            "version": found.version,
            "milliseconds": round(found.milliseconds, 3),
            "bytes": found.size,
        },
    )


def _clock_line(ahead: float) -> Line:
    is_skewed = abs(ahead) > _SKEW_S
    return Line(
        code="clock",
        title=_("Clocks"),
        state=State.WARNING if is_skewed else State.OK,
        value=_("the database’s and this machine’s are %(seconds)s s apart")
        % {"seconds": f"{abs(ahead):.1f}"},
        advice=_("Let both machines set their clocks by NTP: holds and tokens expire by the clock.")
        if is_skewed
        else "",
        facts={"database_ahead_seconds": round(ahead, 3)},
    )


def _ask_postgresql() -> _Database:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")  # a first query may have to connect
        began, started = time.time(), time.perf_counter()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        [clock] = cursor.fetchone()
        seconds = time.perf_counter() - started
        cursor.execute("SELECT current_setting('server_version'), pg_database_size(current_database())")
        version, size = cursor.fetchone()
    return _Database(
        version=version.split()[0],
        milliseconds=seconds * 1000,
        size=size,
        clock_ahead=clock - began - seconds / 2,
    )


def _ask_sqlite() -> _Database:
    with connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute("SELECT sqlite_version()")
        [version] = cursor.fetchone()
        seconds = time.perf_counter() - started
        cursor.execute("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
        [size] = cursor.fetchone()
    return _Database(version=version, milliseconds=seconds * 1000, size=size, clock_ahead=None)


def redis_line(vitals: Vitals) -> Line:
    title = "Redis"
    if not settings.REDIS_URL:
        return Line(
            code="redis",
            title=title,
            state=State.WARNING,
            value=_("none"),
            advice=_(
                "Set REDIS_URL: without it, each process counts requests for itself, and jobs pass through"
                " files."
            ),
            facts={"kind": "none"},
        )
    if vitals.store is None:
        return Line(
            code="redis",
            title=title,
            state=State.ERROR,
            value=_("does not answer"),
            advice=_("Calls go on, but no jobs are done. Start it, or set REDIS_URL to where it is."),
            facts={"kind": "unknown"},
        )
    kind, version = _server_of(vitals.store.info)
    milliseconds = vitals.store.milliseconds
    is_slow = milliseconds > _SLOW_MS
    return Line(
        code="redis",
        title=title,
        state=State.WARNING if is_slow else State.OK,
        value=_("%(name)s %(version)s, answers in %(ms)s ms")
        % {"name": kind, "version": version, "ms": f"{milliseconds:.1f}"},
        advice=_("It is slow to answer: look at its load and the network to it.") if is_slow else "",
        facts={"kind": kind.lower(), "version": version, "milliseconds": round(milliseconds, 3)},
    )


def _server_of(info: dict[str, Any]) -> tuple[str, str]:
    if info.get("server_name") == "valkey":
        return "Valkey", str(info.get("valkey_version", ""))
    return "Redis", str(info.get("redis_version", ""))


def disk_lines() -> list[Line]:
    """The room where this process's machine keeps data and journals; one line where that is one disk."""
    folders = {"disk_data": (_("Disk of the data"), settings.DATA_DIR)}
    if _device(settings.JOURNAL_DIR) != _device(settings.DATA_DIR):
        folders["disk_journal"] = (_("Disk of the journals"), settings.JOURNAL_DIR)
    return [_disk_line(code, title, folder) for code, (title, folder) in folders.items()]


def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))


def _disk_line(code: str, title: str, folder: Path) -> Line:
    usage = shutil.disk_usage(_existing(folder))
    state = State.OK
    if usage.free < _LITTLE_ROOM:
        state = State.ERROR if usage.free < _NO_ROOM else State.WARNING
    return Line(
        code=code,
        title=title,
        state=state,
        value=_("%(free)s of %(total)s free on %(host)s")
        % {
            "free": filesizeformat(usage.free),
            "total": filesizeformat(usage.total),
            "host": socket.gethostname(),
        },
        advice=_("Make room: with a full disk a new process gets no journal and refuses calls.")
        if state != State.OK
        else "",
        facts={"free_bytes": usage.free, "total_bytes": usage.total},
    )
