"""The sandbox's own account at the imaginary provider: a prepaid balance, a monthly cap, and a state file.

All amounts are integer micro-dollars; text forms are US dollars with up to six decimals.
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import time
from dataclasses import asdict, dataclass, fields
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

logger = logging.getLogger(__name__)

MICROS_PER_USD: Final = 1_000_000
DEFAULT_BALANCE: Final = 100 * MICROS_PER_USD
DEFAULT_MONTHLY_CAP: Final = 500 * MICROS_PER_USD
SAVE_INTERVAL_S: Final = 0.4
"""The state file is written at most once in this time, and when the sandbox stops."""

_USD: Final = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)


class AmountError(ValueError):
    """An amount is not a plain number of dollars with at most six decimals."""


class Standing(Enum):
    """Whether the account may be used."""

    GOOD = "good"
    NO_BALANCE = "no_balance"
    CAP_REACHED = "cap_reached"


@dataclass(slots=True)
class Account:
    """What the account holds, in micro-dollars.

    ``balance`` falls with use and may end slightly below zero: a call is let in while anything is left.
    ``used`` is everything ever spent; ``spent_this_month`` starts again with each UTC ``month`` (YYYY-MM).
    """

    balance: int = DEFAULT_BALANCE
    monthly_cap: int = DEFAULT_MONTHLY_CAP
    used: int = 0
    spent_this_month: int = 0
    month: str = ""

    def standing(self, *, at: float) -> Standing:
        """Tell whether a call made at a Unix time is let in."""
        if self.balance <= 0:
            return Standing.NO_BALANCE
        self._turn_month(at)
        return Standing.CAP_REACHED if self.spent_this_month >= self.monthly_cap else Standing.GOOD

    def charge(self, micros: int, *, at: float) -> None:
        """Spend an amount at a Unix time."""
        self._turn_month(at)
        self.balance -= micros
        self.used += micros
        self.spent_this_month += micros

    def as_dict(self, *, at: float) -> dict[str, str]:
        """Describe the account in dollars, as ``GET /sandbox/account`` shows it."""
        self._turn_month(at)
        return {
            "balance_usd": format_usd(self.balance),
            "used_usd": format_usd(self.used),
            "monthly_cap_usd": format_usd(self.monthly_cap),
            "spent_this_month_usd": format_usd(self.spent_this_month),
            "month": self.month,
        }

    def _turn_month(self, at: float) -> None:
        month = _month_of_day(int(at) // 86_400)
        if month != self.month:
            self.month = month
            self.spent_this_month = 0


def parse_usd(value: object) -> int:
    """Read dollars (``"12.34"`` or a whole number) as micro-dollars.

    :raises AmountError: if it is negative, a float, not a number, or finer than a micro-dollar
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _USD.fullmatch(value):
        raise AmountError(f"not an amount in US dollars: {value!r}")
    whole, _, fraction = value.partition(".")
    return int(whole) * MICROS_PER_USD + int(fraction.ljust(6, "0"))


def format_usd(micros: int) -> str:
    """Write micro-dollars as dollars, exactly, with two to six decimals."""
    return _decimal(micros, 6)


def format_cents(micros: int) -> str:
    """Write micro-dollars as cents, exactly, with two to four decimals."""
    return _decimal(micros, 4)


class AccountStore:
    """Keeps the account in a JSON file, or only in memory when there is no path.

    A file that cannot be understood is put aside with a log line, and the account starts afresh.

    :raises OSError: if the file exists and cannot be read, or its directory cannot be made
    """

    def __init__(self, path: Path | None, initial: Account) -> None:
        self._path = path
        self._initial = initial
        self._timer: asyncio.TimerHandle | None = None
        self.account = self._load() or self._fresh()

    def reset(self) -> None:
        """Put the account back to what a new one holds."""
        self.account = self._fresh()
        self.changed()

    def changed(self) -> None:
        """Have the state written soon; call it after every change, inside the event loop."""
        if self._path is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SAVE_INTERVAL_S, self.save)

    def save(self) -> None:
        """Write the state now, replacing the file in one step; a full disk is logged, not raised."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._path is None:
            return
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            draft.write_text(json.dumps(asdict(self.account)) + "\n", encoding="utf-8")
            draft.replace(self._path)
        except OSError as exc:
            logger.warning("sandbox: the account could not be saved to %s: %s", self._path, exc)
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def _fresh(self) -> Account:
        return Account(balance=self._initial.balance, monthly_cap=self._initial.monthly_cap)

    def _load(self) -> Account | None:
        if self._path is None:
            return None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _account_from_json(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as exc:
            aside = self._path.with_name(f"{self._path.name}.broken-{time.time_ns()}")
            self._path.replace(aside)
            logger.warning("sandbox: %s is broken (%s), kept as %s; starting afresh", self._path, exc, aside)
            return None


def _account_from_json(raw: bytes) -> Account:
    state = json.loads(raw)
    if not isinstance(state, dict):
        raise ValueError("not an object")  # noqa: TRY004  of the file, like all its faults
    values: dict[str, Any] = {}
    for field in fields(Account):
        value = state.get(field.name)
        if type(value) is not field.type:
            raise ValueError(f"{field.name} is {value!r}")
        values[field.name] = value
    return Account(**values)


@lru_cache(maxsize=8)
def _month_of_day(day: int) -> str:
    return time.strftime("%Y-%m", time.gmtime(day * 86_400))


def _decimal(units: int, places: int) -> str:
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), 10**places)
    digits = f"{fraction:0{places}d}"
    return f"{sign}{whole}.{digits[:2]}{digits[2:].rstrip('0')}"
