"""What is the same whichever process is asked: from the database and from Redis."""

import asyncio
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from django.conf import settings
from django.db import Error, connection
from django.utils import timezone
from prometheus_client import Metric

from accounts.services import audit_check
from billing.queries.backlog import backlog
from billing.services import audit
from oneapi_admin import __version__
from oneapi_admin.lib import vitals
from redemption.models import CodeAttack, RefusedAttempts

logger = structlog.get_logger(__name__)

_PATIENCE_S: Final = 2.0
GAUGES: Final = {
    "oneapi_build_info": "Always 1; the labels tell the version, Python's and the database's kind.",
    "oneapi_database_up": "Whether the database answered.",
    "oneapi_redis_up": "Whether Redis answered.",
    "oneapi_holds_open": "Calls that hold quota.",
    "oneapi_holds_overdue": "Holds that should have been given back: they outlived the longest call.",
    "oneapi_webhook_deliveries_pending": "Webhook deliveries that wait to be sent, or sent again.",
    "oneapi_webhook_deliveries_overdue": "Webhook deliveries that should have been sent a minute ago.",
    "oneapi_ledger_audit_clean": "Whether everything added up in the ledger's last audit.",
    "oneapi_ledger_audit_timestamp_seconds": "When the ledger's last audit ended.",
    "oneapi_audit_log_intact": "Whether the audit log was intact when it was last verified.",
    "oneapi_audit_log_check_timestamp_seconds": "When the audit log was last verified.",
    "oneapi_code_attack": "Whether somebody is guessing redemption codes.",
    "oneapi_code_attempts_refused_last_hour": "Redemption codes that were refused within the last hour.",
    "oneapi_code_attempts_throttled_last_hour": "Throttled attempts to redeem within the last hour.",
    "oneapi_jobs_queued": "Jobs that wait for a worker.",
    "oneapi_worker_seen_timestamp_seconds": "When a worker last did a job that beat asked for.",
    "oneapi_beat_seen_timestamp_seconds": "When beat last asked for a job.",
}
"""Name and meaning. What nobody knows, such as the time of an audit that was never run, has no sample."""


class _Reader:
    """Reads in a thread of its own, once at a time, however long nobody answers."""

    def __init__(self, read: Callable[[], dict[str, float]], *, without: dict[str, float]) -> None:
        """
        :param without: what there is to say when reading takes too long
        """
        self._read = read
        self._without = without
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._reading: asyncio.Future[dict[str, float]] | None = None

    async def values(self) -> dict[str, float]:
        reading = self._reading
        if reading is None or reading.done():
            reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read)
            self._reading = reading
        await asyncio.wait([reading], timeout=_PATIENCE_S)
        return reading.result() if reading.done() else self._without

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class Installation:
    """What every store says; one that is away takes nothing from the others."""

    def __init__(self) -> None:
        self._readers = [
            _Reader(_read_redis, without={"oneapi_redis_up": 0}),
            _Reader(_read_database, without={"oneapi_database_up": 0}),
        ]

    async def collect(self) -> list[Metric]:
        found = await asyncio.gather(*(reader.values() for reader in self._readers))
        return [_build_info(), *(_gauge(name, value) for values in found for name, value in values.items())]

    def close(self) -> None:
        for reader in self._readers:
            reader.close()


def _build_info() -> Metric:
    version, python = __version__, platform.python_version()
    return _gauge("oneapi_build_info", 1, version=version, python=python, database=connection.vendor)


def _gauge(name: str, value: float, **labels: str) -> Metric:
    family = Metric(name, GAUGES[name], "gauge")
    family.add_sample(name, labels, value)
    return family


def _read_redis() -> dict[str, float]:
    known = vitals.read()
    if known.store is None:
        return {"oneapi_redis_up": 0} if settings.REDIS_URL else {}
    values: dict[str, float] = {"oneapi_redis_up": 1, "oneapi_jobs_queued": known.store.queued_jobs}
    for kind in ("worker", "beat"):
        if said := known.of(kind):
            values[f"oneapi_{kind}_seen_timestamp_seconds"] = max(vital.at for vital in said)
    return values


def _read_database() -> dict[str, float]:
    try:
        found = backlog(at=timezone.now())
        ledger, log = audit.last_result(), audit_check.last_result()
        is_attacked = CodeAttack.objects.open().exists()
        refused, throttled = RefusedAttempts.objects.recent(timezone.now()).count_attempts()
    except Error:
        logger.warning("metrics.database_away", exc_info=True)
        return {"oneapi_database_up": 0}
    finally:
        connection.close()  # nobody needs it until the next time
    values: dict[str, float] = {
        "oneapi_database_up": 1,
        "oneapi_holds_open": found.open_holds,
        "oneapi_holds_overdue": found.overdue_holds,
        "oneapi_webhook_deliveries_pending": found.pending_deliveries,
        "oneapi_webhook_deliveries_overdue": found.overdue_deliveries,
        "oneapi_code_attack": is_attacked,
        "oneapi_code_attempts_refused_last_hour": refused,
        "oneapi_code_attempts_throttled_last_hour": throttled,
    }
    if ledger is not None:
        values["oneapi_ledger_audit_clean"] = ledger.is_clean
        values["oneapi_ledger_audit_timestamp_seconds"] = ledger.finished_at.timestamp()
    if log is not None:
        values["oneapi_audit_log_intact"] = log.is_intact
        values["oneapi_audit_log_check_timestamp_seconds"] = log.finished_at.timestamp()
    return values
