"""Counting failures in windows of an hour, exactly, however many attempts are under way at once.

Before an attempt may look at anything it takes a place in every window that it counts in, and afterwards
gives the places back or, where it failed, leaves failures behind. Failures and places taken never exceed a
limit together. Where failures alone reach it the window is full; where only the places do, somebody has to
wait until others know how they ended.

The windows are in Redis, where all processes share them, or else in the process. A window begins with its
first failure.
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Protocol

from django.conf import settings
from django_redis import get_redis_connection

WINDOW_S: Final = 3600
_PREFIX: Final = "oneapi:attempts:"
_THROTTLED: Final = f"{_PREFIX}throttled"
"""How often who was not let in, since somebody last wrote it down."""
_BUSY: Final = -1


@dataclass(frozen=True, slots=True)
class Places:
    """What an attempt has taken: the windows' keys, and which windows they were."""

    windows: Mapping[str, str]


class WindowsFullError(Exception):
    """As many attempts failed as may."""

    def __init__(self, seconds: float, *, is_noted: bool = False) -> None:
        """
        :param seconds: until there is room again
        :param is_noted: whether who tried is noted in Redis, to be written down later
        """
        super().__init__(seconds)
        self.seconds = seconds
        self.is_noted = is_noted


class WindowsBusyError(Exception):
    """As many attempts are under way as may still fail."""


class Windows(Protocol):
    """Where failures are counted."""

    def take(self, limits: Mapping[str, int], *, who: str) -> Places:
        """Take a place in all of some windows, or in none.

        :param limits: by key
        :param who: tries
        :raises WindowsFullError: if there were too many failures
        :raises WindowsBusyError: if it depends on attempts that are under way
        """

    def settle(self, places: Places, *, is_failure: bool) -> None:
        """Give the places back, leaving a failure in each window or nothing."""


# --- In Redis ---------------------------------------------------------------------------------

_TAKE: Final = """
local full, busy = -1, false
for i = 2, #KEYS do
    local key = KEYS[i]
    local found = redis.call('HMGET', key, 'failed', 'open')
    local failed, open, limit = tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(ARGV[i + 2])
    if failed >= limit then
        full = math.max(full, redis.call('PTTL', key), 0)
    elseif failed + open >= limit then
        busy = true
    end
end
if full >= 0 then
    redis.call('HINCRBY', KEYS[1], ARGV[3], 1)
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return full
end
if busy then return -1 end
local windows = {}
for i = 2, #KEYS do
    local key = KEYS[i]
    redis.call('HINCRBY', key, 'open', 1)
    if redis.call('HSETNX', key, 'window', ARGV[1]) == 1 then redis.call('PEXPIRE', key, ARGV[2]) end
    windows[i - 1] = redis.call('HGET', key, 'window')
end
return windows
"""
_SETTLE: Final = """
for i, key in ipairs(KEYS) do
    local open = -1
    if redis.call('HGET', key, 'window') == ARGV[i + 2] then open = redis.call('HINCRBY', key, 'open', -1) end
    if ARGV[1] == '1' then
        if redis.call('HINCRBY', key, 'failed', 1) == 1 then
            redis.call('HSETNX', key, 'window', ARGV[i + 2])
            redis.call('PEXPIRE', key, ARGV[2])
        end
    elseif open == 0 and redis.call('HEXISTS', key, 'failed') == 0 then
        redis.call('DEL', key)
    end
end
"""


_FLUSH: Final = """
local found = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return found
"""


class SharedWindows:
    """Hashes in Redis, which its scripts change in one step; one round trip for each of the two."""

    def take(self, limits: Mapping[str, int], *, who: str) -> Places:
        """
        :raises RedisError: if it does not answer
        """
        script = get_redis_connection("default").register_script(_TAKE)
        keys = [_THROTTLED, *(f"{_PREFIX}{key}" for key in limits)]
        found = script(keys, [secrets.token_hex(8), WINDOW_S * 1000, who, *limits.values()])
        if isinstance(found, list):
            return Places(dict(zip(limits, (window.decode() for window in found), strict=True)))
        if found == _BUSY:
            raise WindowsBusyError
        raise WindowsFullError(found / 1000, is_noted=True)

    def settle(self, places: Places, *, is_failure: bool) -> None:
        """
        :raises RedisError: if it does not answer
        """
        script = get_redis_connection("default").register_script(_SETTLE)
        keys = [f"{_PREFIX}{key}" for key in places.windows]
        script(keys, [int(is_failure), WINDOW_S * 1000, *places.windows.values()])

    def take_throttled(self) -> dict[str, int]:
        """How often who was not let in since the last time; it is for the caller to keep.

        :raises RedisError: if it does not answer
        """
        found = get_redis_connection("default").register_script(_FLUSH)([_THROTTLED])
        return {who.decode(): int(count) for who, count in zip(found[::2], found[1::2], strict=True)}


# --- In the process ---------------------------------------------------------------------------


@dataclass(slots=True)
class _Window:
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    failed: int = 0
    open: int = 0
    until: float = field(default_factory=lambda: time.monotonic() + WINDOW_S)


class OwnWindows:
    """The same for one process: where there is no Redis, and while it is away."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._windows: dict[str, _Window] = {}

    def take(self, limits: Mapping[str, int], *, who: str) -> Places:  # noqa: ARG002  the caller writes it down
        with self._lock:
            self._forget()
            found = {key: self._windows.get(key) or _Window() for key in limits}
            full = [window.until for key, window in found.items() if window.failed >= limits[key]]
            if full:
                raise WindowsFullError(max(full) - time.monotonic())
            if any(window.failed + window.open >= limits[key] for key, window in found.items()):
                raise WindowsBusyError
            for key, window in found.items():
                window.open += 1
                self._windows[key] = window
            return Places({key: window.name for key, window in found.items()})

    def settle(self, places: Places, *, is_failure: bool) -> None:
        with self._lock:
            self._forget()
            for key, name in places.windows.items():
                window = self._windows.get(key) or _Window(name)
                window.open -= window.name == name and window.open > 0
                if is_failure:
                    window.failed += 1
                    self._windows[key] = window
                    if window.failed == 1:
                        window.until = time.monotonic() + WINDOW_S
                elif not window.open and not window.failed:
                    self._windows.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._windows.clear()

    def _forget(self) -> None:
        now = time.monotonic()
        for key in [key for key, window in self._windows.items() if window.until <= now]:
            del self._windows[key]


OWN: Final = OwnWindows()
SHARED: Final = SharedWindows()


def windows() -> Windows:
    """Where failures are counted while everything works."""
    return SHARED if settings.REDIS_URL else OWN
