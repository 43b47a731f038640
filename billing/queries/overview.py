"""What the overview and its neighbours say of one person's quota, and of the accounts behind it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, F, Q, Sum

from accounts.models import User
from billing.models import Channel, ChannelStatus, QuotaAccount, TokenQuota, UsageDaily
from billing.queries.funds import Funds, funds_of

CHART_DAYS = 14


def account_of(*, user: User) -> QuotaAccount:
    """The person's account; an empty one, not stored, when they have none yet."""
    return QuotaAccount.objects.filter(pk=user.pk).first() or QuotaAccount(user=user)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUse:
    """What was used on one UTC day; ``quota`` in quota units."""

    day: date
    request_count: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    quota: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def daily_use(*, user: User, today: date, days: int = CHART_DAYS) -> list[DayUse]:
    """One sum for each of the last days, oldest first, days without calls included."""
    first = today - timedelta(days=days - 1)
    rows = (
        UsageDaily.objects.filter(account_id=user.pk, day__gte=first, day__lte=today)
        .values("day")
        .annotate(
            requests=Sum("request_count"),
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
            spent=Sum("quota"),
        )
    )
    found = {
        row["day"]: DayUse(
            day=row["day"],
            request_count=row["requests"],
            prompt_tokens=row["prompt"],
            completion_tokens=row["completion"],
            quota=row["spent"],
        )
        for row in rows
    }
    calendar = (first + timedelta(days=offset) for offset in range(days))
    return [found.get(day) or DayUse(day=day) for day in calendar]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSummary:
    count: int
    unlimited: int
    """Tokens without a limit of their own."""
    used_up: int
    """Tokens that have spent all of their limit."""

    @property
    def limited(self) -> int:
        return self.count - self.unlimited


def token_summary(*, user: User) -> TokenSummary:
    """How many tokens the person has, and how many of them are limited."""
    sums = TokenQuota.objects.filter(token__user=user).aggregate(
        count=Count("pk"),
        unlimited=Count("pk", filter=Q(quota_limit__isnull=True)),
        used_up=Count("pk", filter=Q(quota_limit__lte=F("used_quota"))),
    )
    return TokenSummary(**sums)


def available_models(*, group: str) -> list[str]:
    """The models that enabled channels serve to a group, sorted."""
    rows = Channel.objects.filter(status=ChannelStatus.ENABLED).values_list("groups", "models")
    return sorted({model for groups, models in rows if group in groups for model in models})


def upstream_funds(*, at: datetime) -> list[Funds]:
    """What is known of every channel's money, for operators only."""
    return funds_of(list(Channel.objects.order_by("name", "pk")), at=at)
