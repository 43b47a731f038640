"""What upstream accounts still hold, as their providers say."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction

from billing.models import BalanceKind, BalanceSnapshot, Channel
from billing.services.config import bump_version
from billing.upstream.client import UpstreamCallError, call

logger = structlog.get_logger(__name__)

UNLIMITED_USD = 100_000_000
"""What One API reports as the limit of a key that has none."""
_MICRO = Decimal("0.000001")
_TOO_LARGE = Decimal(10) ** 9


def refresh_balance(*, channel: Channel, at: datetime) -> BalanceSnapshot | None:
    """Ask the provider for the balance and keep it.

    Reads the billing endpoints of One API and its relatives: the limit in US dollars, which
    is what is left plus what was used, and the use so far in cents. Many providers tell an
    ordinary key nothing; then nothing is written, and the last good value stays with its age.

    :returns: the new snapshot; None if the provider does not tell, or the channel was deleted meanwhile
    """
    try:
        limit, used = _limit_and_used(channel)
    except UpstreamCallError as exc:
        logger.warning("billing.balance_not_read", channel_id=channel.pk, reason=str(exc))
        return None
    is_unlimited = limit >= UNLIMITED_USD
    snapshot = BalanceSnapshot(
        channel=channel,
        kind=BalanceKind.BALANCE,
        remaining=None if is_unlimited else (limit - used).quantize(_MICRO),
        used=used.quantize(_MICRO),
        is_unlimited=is_unlimited,
        created_at=at,
    )
    with transaction.atomic():
        if Channel.objects.select_for_update().filter(pk=channel.pk).first() is None:
            return None
        before = BalanceSnapshot.objects.filter(channel=channel).order_by("-pk").first()
        snapshot.save()
        if before is None or before.has_money != snapshot.has_money:
            bump_version()  # the relay says in its refusals whether the provider's account is the cause
    return snapshot


def _limit_and_used(channel: Channel) -> tuple[Decimal, Decimal]:
    subscription = _read(channel, "subscription")
    if subscription.get("object") != "billing_subscription":
        raise UpstreamCallError(reason="the answer is not a billing subscription")
    limit = _amount(subscription, "hard_limit_usd")
    return limit, _amount(_read(channel, "usage"), "total_usage") / 100


def _read(channel: Channel, name: str) -> dict[str, Any]:
    answer = call("GET", channel.base_url.rstrip("/"), f"/v1/dashboard/billing/{name}", key=channel.get_key())
    if answer.failure:
        raise UpstreamCallError(reason=answer.failure)
    data: dict[str, Any] = answer.data
    return data


def _amount(data: dict[str, Any], name: str) -> Decimal:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise UpstreamCallError(reason=f"{name} is not an amount")
    amount = Decimal(value)
    if abs(amount) >= _TOO_LARGE:
        raise UpstreamCallError(reason=f"{name} is too large to be an amount")
    return amount
