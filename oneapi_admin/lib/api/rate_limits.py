"""How often somebody may ask: counted in windows of a minute in the cache that all processes share."""

import time
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django_redis.exceptions import ConnectionInterrupted
from redis.exceptions import RedisError

from oneapi_admin.lib.errors import DomainError

logger = structlog.get_logger(__name__)

WINDOW_S = 60


class RateLimitedError(DomainError):
    code = "rate_limited"
    http_status = 429
    is_retryable = True
    message = _("Too many requests: %(limit)s a minute are allowed.")
    remedy = _("Wait %(reset)s seconds, then go on more slowly.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What is left of a window; ``reset`` in seconds."""

    policy: str
    limit: int
    remaining: int
    reset: int


def count_request(request: HttpRequest, *, policy: str, identity: str, limit: int) -> None:
    """Count a request under a policy; the tightest one so far is told in the answer's headers.

    While the cache is away nothing is limited: quota is not counted here.

    :raises RateLimitedError: if it is one too many
    """
    now = time.time()
    window = int(now // WINDOW_S)
    try:
        used = _increment(f"rate:{policy}:{identity}:{window}")
    except (ConnectionInterrupted, RedisError):
        logger.warning("api.rate_not_counted", policy=policy)
        return
    rate = Rate(
        policy=policy,
        limit=limit,
        remaining=max(limit - used, 0),
        reset=max(round((window + 1) * WINDOW_S - now), 1),
    )
    tightest: Rate | None = getattr(request, "rate", None)
    if tightest is None or rate.remaining < tightest.remaining:
        request.rate = rate  # type: ignore[attr-defined]
    if used > limit:
        raise RateLimitedError(limit=limit, reset=rate.reset)


def set_headers(request: HttpRequest, response: HttpResponse) -> None:
    """Tell what is left (draft-ietf-httpapi-ratelimit-headers)."""
    rate: Rate | None = getattr(request, "rate", None)
    if rate is None:
        return
    response.headers["RateLimit-Policy"] = f'"{rate.policy}";q={rate.limit};w={WINDOW_S}'
    response.headers["RateLimit"] = f'"{rate.policy}";r={rate.remaining};t={rate.reset}'
    if response.status_code == 429:
        response.headers.setdefault("Retry-After", str(rate.reset))


def count_address(request: HttpRequest) -> None:
    """Count a request of an address, whoever it says it is."""
    address = request.META.get("REMOTE_ADDR", "")
    count_request(request, policy="address", identity=address, limit=settings.API_REQUESTS_PER_ADDRESS)


def _increment(key: str) -> int:
    cache.add(key, 0, timeout=2 * WINDOW_S)
    try:
        return int(cache.incr(key))
    except ValueError:  # the cache threw it out, to make room
        return 1
