"""How many wrong codes anybody may try: a person, an address, and all of them together."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.db.models import Min, Sum
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy
from redis.exceptions import RedisError

from accounts.models import User
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.sql import Statements, insert_rows, table
from redemption.models import RefusedAttempts
from redemption.models.attempts import RECENT, SLOT
from redemption.services.redeeming import CodeNotRedeemableError
from redemption.services.windows import (
    OWN,
    SHARED,
    Places,
    Windows,
    WindowsBusyError,
    WindowsFullError,
    windows,
)

logger = structlog.get_logger(__name__)

_PATIENCE_S: Final = 2
"""How long to wait for other attempts to end; each takes some milliseconds."""
_PAUSE_MS: Final = 10
_BUSY_S: Final = 60


class TooManyAttemptsError(DomainError):
    """One message whoever tried: it says nothing about the code, nor about other people."""

    code = "too_many_attempts"
    http_status = 429
    is_retryable = True
    message = _("Too many wrong codes were tried; for the time being no code is looked at.")
    remedy = ngettext_lazy(
        "Wait %(minutes)s minute, then try again.", "Wait %(minutes)s minutes, then try again.", "minutes"
    )

    def __init__(self, *, seconds: float) -> None:
        """
        :param seconds: until it is worth trying again
        """
        retry_after_s = max(1, math.ceil(seconds))
        super().__init__(minutes=math.ceil(retry_after_s / 60))
        self.retry_after_s = retry_after_s


class _Tried(NamedTuple):
    user_id: int
    network: str
    refused: int = 0
    throttled: int = 0


@contextmanager
def counted(*, user: User, address: str | None, at: datetime) -> Iterator[None]:
    """Around an attempt to redeem: count it if the code is refused; success and other errors cost nothing.

    It has to be outside the attempt's transaction, since what is recorded of a refusal has to stay.

    :param address: of the caller
    :raises TooManyAttemptsError: if too many were refused within an hour, whatever the code is
    """
    network = network_of(address)
    try:
        counter, places = _take_places(user, network, at)
    except WindowsFullError as full:
        logger.warning("redemption.attempt_throttled", user_id=user.pk, address=network)
        if not full.is_noted:
            _record(_Tried(user.pk, network, throttled=1), at=at)
        raise TooManyAttemptsError(seconds=full.seconds) from None
    is_refused = False
    try:
        yield
    except CodeNotRedeemableError:
        is_refused = True
        raise
    finally:
        _settle(counter, places, is_failure=is_refused)
        if is_refused:
            _record(_Tried(user.pk, network, refused=1), at=at)


def network_of(address: str | None) -> str:
    """What an address is counted by: of IPv6 the network of 64 bits, which a person has to themselves.

    :returns: empty if it is none
    """
    try:
        found = ip_address(address or "")
    except ValueError:
        return ""
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((int(found), 64), strict=False))
    return str(found)


def record_throttled(*, at: datetime) -> None:
    """Write down who was throttled lately: until then it is in Redis, so that throttling costs little."""
    if not settings.REDIS_URL:
        return
    try:
        found = SHARED.take_throttled()
    except RedisError as exc:
        logger.warning("redemption.throttled_not_known", error=repr(exc))
        return
    if found:
        _record(*(_throttled(who, count) for who, count in found.items()), at=at)


def forget_attempts(*, before: datetime, limit: int) -> int:
    """Delete a portion of the old records.

    :returns: how many there were
    """
    old = RefusedAttempts.objects.filter(last_at__lt=before).order_by("last_at").values_list("pk", flat=True)
    return RefusedAttempts.objects.filter(pk__in=list(old[:limit])).delete()[0]


# --- Places -----------------------------------------------------------------------------------


def _take_places(user: User, network: str, at: datetime) -> tuple[Windows, Places]:
    """
    :raises WindowsFullError: if there were too many failures
    :raises TooManyAttemptsError: if too many other attempts do not come to an end
    """
    limits, who = _limits(user, network), f"{user.pk} {network}"
    counter = windows()
    try:
        return counter, _wait_for_places(counter, limits, who)
    except RedisError as exc:
        logger.warning("redemption.attempt_not_shared", error=repr(exc))
    _check_records(limits, user, network, at)
    return OWN, _wait_for_places(OWN, limits, who)


def _limits(user: User, network: str) -> dict[str, int]:
    limits = {f"user:{user.pk}": settings.REDEEM_FAILURES_PER_USER, "all": settings.REDEEM_FAILURES_IN_ALL}
    if network:
        limits[f"address:{network}"] = settings.REDEEM_FAILURES_PER_ADDRESS
    return limits


def _wait_for_places(counter: Windows, limits: Mapping[str, int], who: str) -> Places:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return counter.take(limits, who=who)
        except WindowsBusyError:
            if time.monotonic() > deadline:
                raise TooManyAttemptsError(seconds=_BUSY_S) from None
        time.sleep(_PAUSE_MS / 1000)


def _settle(counter: Windows, places: Places, *, is_failure: bool) -> None:
    """Places that cannot be given back count until their window is over."""
    try:
        counter.settle(places, is_failure=is_failure)
    except RedisError as exc:
        logger.warning("redemption.attempt_not_settled", error=repr(exc))


# --- Records ----------------------------------------------------------------------------------


def _check_records(limits: Mapping[str, int], user: User, network: str, at: datetime) -> None:
    """Without Redis, count roughly, by what was recorded.

    :raises WindowsFullError: if too many were refused
    """
    recent = RefusedAttempts.objects.recent(at).filter(refused_count__gt=0)
    scopes = {f"user:{user.pk}": recent.filter(user=user), "all": recent}
    if network:
        scopes[f"address:{network}"] = recent.filter(address=network)
    for key, found in scopes.items():
        sums = found.aggregate(refused=Sum("refused_count"), first=Min("last_at"))
        if (sums["refused"] or 0) >= limits[key]:
            raise WindowsFullError((sums["first"] + RECENT - at).total_seconds())


def _record(*tried: _Tried, at: datetime) -> None:
    """Add to what people tried; no answer depends on it."""
    name = table(RefusedAttempts)
    counts = ("refused_count", "throttled_count")
    sums = ", ".join(f"{column} = {name}.{column} + excluded.{column}" for column in counts)
    update = f"DO UPDATE SET {sums}, last_at = excluded.last_at"
    rows = [(one.user_id, one.network, _slot(at), one.refused, one.throttled, at) for one in sorted(tried)]
    try:
        with transaction.atomic(durable=True):
            insert_rows(
                Statements(),
                RefusedAttempts,
                ["user_id", "address", "slot", *counts, "last_at"],
                rows,
                suffix=f"ON CONFLICT (user_id, address, slot) {update}",
            )
    except DatabaseError:
        logger.warning("redemption.attempts_not_recorded", count=len(tried), exc_info=True)


def _throttled(who: str, count: int) -> _Tried:
    user_id, _space, network = who.partition(" ")
    return _Tried(int(user_id), network, throttled=count)


def _slot(at: datetime) -> datetime:
    return at - timedelta(seconds=at.timestamp() % SLOT.total_seconds())
