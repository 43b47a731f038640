"""A person's calls, filtered, with their sums."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet, Sum
from django.utils.translation import gettext as _

from accounts.models import Token, User
from billing.models import UsageDaily, UsageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilters:
    """Which calls to show; days are UTC and both included."""

    token: int | None = None
    model: str = ""
    status: str = ""
    entry: int | None = None
    """The ledger entry that charged them."""
    since: date | None = None
    until: date | None = None

    @property
    def are_summable(self) -> bool:
        """Whether the daily sums, which know days, tokens and models only, can answer."""
        return not self.status and self.entry is None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    request_count: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    quota: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedNames:
    """What a person's calls can be filtered by."""

    tokens: list[tuple[int, str | None]]
    """Token ids with their names; the name is None once the token is deleted."""
    models: list[str]


def midnight(day: date) -> datetime:
    """The beginning of a UTC day."""
    return datetime.combine(day, time.min, UTC)


def usage_of(*, user: User, filters: UsageFilters) -> QuerySet[UsageRecord]:
    """The person's calls."""
    wanted: dict[str, Any] = {"account_id": user.pk}
    if filters.token is not None:
        wanted["token_id"] = filters.token
    if filters.model:
        wanted["model"] = filters.model
    if filters.status:
        wanted["status"] = filters.status
    if filters.entry is not None:
        wanted["ledger_entry_id"] = filters.entry
    if filters.since is not None:
        wanted["created_at__gte"] = midnight(filters.since)
    if filters.until is not None:
        wanted["created_at__lt"] = midnight(filters.until) + timedelta(days=1)
    return UsageRecord.objects.filter(**wanted)


def usage_totals(*, user: User, filters: UsageFilters) -> UsageTotals | None:
    """Sums of the calls that match, out of the daily sums; None when those cannot tell."""
    if not filters.are_summable:
        return None
    wanted: dict[str, Any] = {"account_id": user.pk}
    if filters.token is not None:
        wanted["token_id"] = filters.token
    if filters.model:
        wanted["model"] = filters.model
    if filters.since is not None:
        wanted["day__gte"] = filters.since
    if filters.until is not None:
        wanted["day__lte"] = filters.until
    sums = UsageDaily.objects.filter(**wanted).aggregate(
        request_count=Sum("request_count", default=0),
        prompt_tokens=Sum("prompt_tokens", default=0),
        cached_tokens=Sum("cached_tokens", default=0),
        completion_tokens=Sum("completion_tokens", default=0),
        quota=Sum("quota", default=0),
    )
    return UsageTotals(**sums)


def used_names(*, user: User) -> UsedNames:
    """The tokens and models that the person has, or has used."""
    names: dict[int, str | None] = dict(
        Token.objects.owned_by(user).order_by("name", "pk").values_list("pk", "name")
    )
    used = UsageDaily.objects.filter(account_id=user.pk).values_list("token_id", "model").distinct()
    models = set()
    for token_id, model in used:
        names.setdefault(token_id, None)
        models.add(model)
    return UsedNames(tokens=list(names.items()), models=sorted(models))


def price_words(version: str) -> str:
    """Which price a call was charged at, from the version on its row."""
    source, _colon, number = version.partition(":")
    if source == "operator":
        return _("The operator's price, version %(number)s") % {"number": number}
    if source == "catalogue":
        return _("List price, catalogue %(number)s") % {"number": number}
    return version
