"""Values of users and their tokens."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Sum

from accounts.models import UserStatus
from billing.models import AlertSubject, QuotaAccount, TokenQuota, UsageRecord
from billing.queries.forecasts import user_forecasts
from billing.services.alerts.levels import levels_of
from billing.services.alerts.readings import Look, Reading
from billing.services.alerts.times import AN_HOUR, hours_left
from oneapi_admin.lib.quota import to_usd

_SOME: Final = 1000


def balances(_look: Look, user_ids: Sequence[int]) -> Iterator[Reading]:
    """What is left, in US dollars."""
    for account in _accounts(user_ids):
        yield _of(account, to_usd(account.balance))


def quota_used(_look: Look, user_ids: Sequence[int]) -> Iterator[Reading]:
    """What was used since the quota was last raised, in percent of what there was then."""
    levels = levels_of(user_ids)
    for account in _accounts(user_ids):
        level = levels[account.pk]
        if level.level > 0:
            used = max(level.level - account.balance, 0)
            yield _of(account, Decimal(100 * used) / level.level, period=str(level.entry_id))


def token_limits_used(_look: Look, user_ids: Sequence[int]) -> Iterator[Reading]:
    """What the tokens of users have used, in percent of their own limits."""
    limited = TokenQuota.objects.filter(
        token__user__in=user_ids, token__user__status=UserStatus.ENABLED, quota_limit__gt=0
    )
    for quota in limited.select_related("token").order_by("pk"):
        yield Reading(
            subject_type=AlertSubject.TOKEN,
            subject_id=quota.pk,
            subject_name=quota.token.name,
            user_id=quota.token.user_id,
            value=Decimal(100 * quota.used_quota) / (quota.quota_limit or 1),
            period=str(quota.quota_limit),
        )


def costs_per_hour(look: Look, user_ids: Sequence[int]) -> Iterator[Reading]:
    """What the calls of the last hour were charged, in US dollars."""
    since = look.at - AN_HOUR
    calls = UsageRecord.objects.filter(
        account__in=user_ids, created_at__gte=since, pk__gt=_last_before(since)
    )
    charged = dict(calls.values_list("account").annotate(Sum("quota")))
    for account in _accounts(user_ids):
        yield _of(account, to_usd(charged.get(account.pk, 0)))


def forecasts(look: Look, user_ids: Sequence[int]) -> Iterator[Reading]:
    """How many hours what is left will last."""
    accounts = {account.pk: account for account in _accounts(user_ids)}
    for user_id, forecast in user_forecasts(list(accounts), at=look.at).items():
        if forecast is not None:
            yield _of(accounts[user_id], hours_left(forecast.expected))


def _last_before(since: datetime) -> int:
    """A call before a time, after which all later ones are: no other index leads to one account's calls.

    Of some, the one with the smallest id, since calls that were recovered late have large ones.
    """
    before = UsageRecord.objects.filter(created_at__lt=since - timedelta(minutes=1))
    return min(before.order_by("-created_at").values_list("pk", flat=True)[:_SOME], default=0)


def _accounts(user_ids: Sequence[int]) -> Iterable[QuotaAccount]:
    enabled = QuotaAccount.objects.filter(pk__in=user_ids, user__status=UserStatus.ENABLED)
    return enabled.select_related("user").order_by("pk")


def _of(account: QuotaAccount, value: Decimal, *, period: str = "") -> Reading:
    return Reading(
        subject_type=AlertSubject.USER,
        subject_id=account.pk,
        subject_name=account.user.username,
        user_id=account.pk,
        value=value,
        period=period,
    )
