"""A sign of life of this relay process for the health page, every few seconds."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from oneapi_admin import __version__
from oneapi_admin.lib import vitals
from relay.metering import Metering

KIND: Final = "relay"
_EVERY_S: Final = 5


class Heartbeat:
    """Tells how this process is doing until it is closed; the event loop never waits for it."""

    def __init__(self, metering: Callable[[], Metering | None]) -> None:
        """
        :param metering: None while the process has no journal
        """
        self._metering = metering
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._started_at = time.time()
        self._waiting_since: float | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="heartbeat")
        self._beating = asyncio.create_task(self._beat())

    async def close(self) -> None:
        """Stop, and take leave."""
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, vitals.withdraw, KIND, self._name)
        self._thread.shutdown(wait=False)

    async def _beat(self) -> None:
        while True:
            await asyncio.get_running_loop().run_in_executor(
                self._thread, vitals.report, KIND, self._name, self._facts()
            )
            await asyncio.sleep(_EVERY_S)

    def _facts(self) -> dict[str, Any]:
        metering = self._metering()
        journal = metering.journal if metering else None
        used, waiting = (journal.open_count, journal.served_count) if journal else (0, 0)
        abandoned = metering.abandoned if metering else 0
        if not (waiting or abandoned):
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = time.time()
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": self._started_at,
            "version": __version__,
            "has_journal": journal is not None,
            "in_flight": used - waiting,
            "used": used,
            "capacity": journal.capacity if journal else 0,
            "waiting": waiting,
            "abandoned": abandoned,
            "waiting_since": self._waiting_since,
            "last_commit_at": metering.last_commit_at if metering else 0.0,
        }
