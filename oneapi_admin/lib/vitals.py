"""How the processes of all machines are doing, told through Redis; for the health page and the metrics.

What is told is a sign of life: nobody waits for it, and nothing fails when Redis is away. Then a process
knows what it said itself, which is everything where there is only one.
"""

import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

logger = structlog.get_logger(__name__)

_KEY: Final = "oneapi:vitals"
_KEPT_SECONDS: Final = 600
"""How long somebody who fell silent is remembered."""
_PATIENCE_SECONDS: Final = 0.4
"""For a connection and for an answer: the page has to be there within two seconds, whatever is away."""
_DEFAULT_QUEUE: Final = "celery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vital:
    """What somebody said last."""

    kind: str
    name: str
    at: float
    """When, in seconds since 1970, by the clock of who said it."""
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """The Redis through which everybody tells."""

    info: dict[str, Any]
    """What it says of itself."""
    milliseconds: float
    """How long it took to answer."""
    queued_jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What is known."""

    all: list[Vital]
    store: Store | None
    """None when it does not answer or there is none: then only what this process said itself is known."""

    def of(self, kind: str) -> list[Vital]:
        """In the order of their names."""
        return sorted((vital for vital in self.all if vital.kind == kind), key=lambda vital: vital.name)


_own: Final[dict[str, str]] = {}
"""What this process said last, by kind and name."""


def report(kind: str, name: str, facts: dict[str, Any] | None = None) -> None:
    """Say that one lives, and how."""
    field = f"{kind}/{name}"
    _own[field] = record = json.dumps({"at": time.time(), "facts": facts or {}})
    if (redis := _client()) is not None:
        try:
            redis.hset(_KEY, field, record)
        except RedisError as exc:
            logger.debug("vitals.not_told", error=repr(exc))


def withdraw(kind: str, name: str) -> None:
    """Say goodbye, so that nobody misses one."""
    field = f"{kind}/{name}"
    _own.pop(field, None)
    if (redis := _client()) is not None:
        try:
            redis.hdel(_KEY, field)
        except RedisError as exc:
            logger.debug("vitals.not_told", error=repr(exc))


def read() -> Vitals:
    """What everybody said last; who has been silent for long is forgotten."""
    redis = _client()
    if redis is not None:
        try:
            return _read_shared(redis)
        except RedisError as exc:
            logger.warning("vitals.not_known", error=repr(exc))
    own = dict(_own)  # in one step: another thread may be reporting
    return Vitals(all=[_vital(field, record) for field, record in own.items()], store=None)


def _read_shared(redis: Redis) -> Vitals:
    """
    :raises RedisError: if it does not answer
    """
    started = time.perf_counter()
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.hgetall(_KEY)
        pipeline.llen(f"{settings.CELERY_BROKER_TRANSPORT_OPTIONS['global_keyprefix']}{_DEFAULT_QUEUE}")
        pipeline.info("server")
        records, queued_jobs, info = pipeline.execute()
    milliseconds = (time.perf_counter() - started) * 1000
    said = {field: _vital(field.decode(), record) for field, record in records.items()}
    since = time.time() - _KEPT_SECONDS
    if forgotten := [field for field, vital in said.items() if vital.at < since]:
        redis.hdel(_KEY, *forgotten)
    return Vitals(
        all=[vital for vital in said.values() if vital.at >= since],
        store=Store(info=info, milliseconds=milliseconds, queued_jobs=queued_jobs),
    )


def _vital(field: str, record: str | bytes) -> Vital:
    kind, _, name = field.partition("/")
    said = json.loads(record)
    return Vital(kind=kind, name=name, at=said["at"], facts=said["facts"])


@cache
def _client() -> Redis | None:
    """One for the process, with a patience of its own; None if there is no Redis."""
    if not settings.REDIS_URL:
        return None
    return Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=_PATIENCE_SECONDS,
        socket_timeout=_PATIENCE_SECONDS,
    )
