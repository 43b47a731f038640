"""How large a run is."""

from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls, and what they are made with."""

    calls: int
    seconds: float
    """No call begins later; the planned arrivals take a part of it."""
    clients: int
    processes: int
    accounts: int
    seed: int = 1
    kill_every_s: float | None = None

    def with_changes(self, **changes: Any) -> Self:
        return replace(self, **changes)


FULL = Load(calls=100_000, seconds=540, clients=96, processes=2, accounts=48)
QUICK = Load(calls=1_500, seconds=12, clients=32, processes=2, accounts=8)
