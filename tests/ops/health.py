"""What processes tell of themselves, for tests of what is shown of it."""

import time
from typing import Any
from unittest import mock

from oneapi_admin import __version__
from oneapi_admin.lib import vitals


def tell(kind: str, name: str, facts: dict[str, Any] | None = None, *, seconds_ago: float = 0) -> None:
    """Let somebody have said so some time ago."""
    with mock.patch.object(vitals.time, "time", return_value=time.time() - seconds_ago):
        vitals.report(kind, name, facts)


def tell_relay(pid: int = 1, *, host: str = "alpha", seconds_ago: float = 0, **facts: Any) -> None:
    """Let a relay process have said that it is well, but for what is given."""
    waited = facts.pop("waited", None)
    well = {
        "host": host,
        "pid": pid,
        "version": __version__,
        "started_at": time.time() - 3600,
        "has_journal": True,
        "in_flight": 2,
        "used": 2,
        "capacity": 100,
        "waiting": 0,
        "abandoned": 0,
        "waiting_since": None if waited is None else time.time() - waited,
        "last_commit_at": time.time(),
    }
    tell("relay", f"{host}:{pid}", {**well, **facts}, seconds_ago=seconds_ago)


def tell_all_is_well() -> None:
    tell_relay()
    for kind in ("worker", "beat"):
        tell(kind, "alpha")
