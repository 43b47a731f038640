"""Calls, filtered, with their sums."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import BigIntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from accounts.models import Role, Token, User
from billing.models import Channel, EntryKind, LedgerEntry, UsageDaily, UsageHourly, UsageRecord

MAX_GROUPS = 10_000
"""More than the hours of a year and a day."""
HOURLY = {"hour": "hour", "channel": "channel_id"}
DAILY = {"day": "day", "model": "model", "token": "token_id", "user": "account_id"}
"""What sums can be grouped by, with the columns of the rollups that tell it."""
SUMMED = (
    "request_count",
    "failure_count",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "quota",
)


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


def last_moment(day: date) -> datetime:
    """When a UTC day ends."""
    return datetime.combine(day, time.max, UTC)


def with_refunds(calls: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
    """The same calls with their ``refunded_quota``: what was given back of their charges."""
    refunds = (
        LedgerEntry.objects.filter(
            ~Q(reference=""),  # as the index has it
            reference=OuterRef("request_id"),
            account=OuterRef("account"),
            kind__in=(EntryKind.REFUND, EntryKind.REVERSAL),
        )
        .order_by()
        .values("account")
        .annotate(total=Sum("amount"))
        .values("total")
    )
    total = Coalesce(Subquery(refunds, output_field=BigIntegerField()), 0)
    rows: QuerySet[UsageRecord] = calls.annotate(refunded_quota=total)  # type: ignore[no-redef]
    return rows


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
        wanted["created_at__lte"] = last_moment(filters.until)
    return with_refunds(UsageRecord.objects.filter(**wanted))


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


def visible_usage(actor: User) -> QuerySet[UsageRecord]:
    """The calls that the actor may see."""
    return with_refunds(UsageRecord.objects.filter(_visible(actor)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryFilters:
    """What to sum: whole UTC days, for groups in ``HOURLY`` whole hours, that the time touches."""

    group_by: str
    """A key of ``DAILY`` or ``HOURLY``; the latter know neither users nor tokens and are for operators."""
    since: datetime
    until: datetime
    """Not included."""
    equal: Mapping[str, object] = field(default_factory=dict)
    """Values that columns of the rollup have to have."""

    @property
    def unit(self) -> timedelta:
        return timedelta(hours=1) if self.group_by in HOURLY else timedelta(days=1)

    @property
    def first(self) -> datetime:
        """The beginning of the first day or hour."""
        return _floor(self.since, self.unit)

    @property
    def end(self) -> datetime:
        """The end of the last day or hour."""
        return _floor(self.until - timedelta.resolution, self.unit) + self.unit


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageGroup:
    """Sums of calls; ``sums`` has the names of ``SUMMED``."""

    key: str
    label: str | None
    """The name; None once what had it was deleted."""
    sums: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    groups: list[UsageGroup]
    """By time, oldest first, or the dearest first; at most ``MAX_GROUPS``."""
    is_complete: bool
    totals: Mapping[str, int]
    """Over all groups, also those that are left out."""


def summary(*, actor: User, filters: SummaryFilters) -> Summary:
    """Sums of the calls that the actor may see, out of the rollups."""
    column = {**DAILY, **HOURLY}[filters.group_by]
    rows = _rollup(actor, filters)
    sums = {name: Sum(name, default=0) for name in SUMMED}
    order = (column,) if column in ("day", "hour") else ("-quota", "-request_count", column)
    found = list(rows.values(column).annotate(**sums).order_by(*order)[: MAX_GROUPS + 1])
    shown, is_complete = found[:MAX_GROUPS], len(found) <= MAX_GROUPS
    labels = _labels(filters.group_by, [row[column] for row in shown])
    groups = [
        UsageGroup(
            key=_key(row[column]),
            label=labels.get(row[column]) if labels is not None else _key(row[column]),
            sums={name: row[name] for name in SUMMED},
        )
        for row in shown
    ]
    if is_complete:
        totals = {name: sum(row[name] for row in shown) for name in SUMMED}
    else:
        totals = rows.aggregate(**sums)
    return Summary(groups=groups, is_complete=is_complete, totals=totals)


def _rollup(actor: User, filters: SummaryFilters) -> QuerySet[Any]:
    if filters.group_by in HOURLY:
        return UsageHourly.objects.filter(**filters.equal, hour__gte=filters.first, hour__lt=filters.end)
    days = {"day__gte": filters.first.date(), "day__lt": filters.end.date()}
    return UsageDaily.objects.filter(_visible(actor), **filters.equal, **days)


def _visible(actor: User) -> Q:
    """Whose calls the actor may see: root everyone's, an administrator not root's, a user their own."""
    if actor.is_root:
        return Q()
    if actor.is_operator:
        return ~Q(account_id__in=User.objects.filter(role=Role.ROOT).values("pk"))
    return Q(account_id=actor.pk)


def _labels(group_by: str, keys: Collection[Any]) -> dict[Any, str] | None:
    """Names by key; None where the key is the name."""
    if group_by == "token":
        return dict(Token.objects.filter(pk__in=keys).values_list("pk", "name"))
    if group_by == "channel":
        return dict(Channel.objects.filter(pk__in=keys).values_list("pk", "name"))
    if group_by == "user":
        return dict(User.objects.filter(pk__in=keys).values_list("pk", "username"))
    return None


def _key(value: object) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)


def _floor(moment: datetime, unit: timedelta) -> datetime:
    moment = moment.astimezone(UTC)
    return moment - (moment - midnight(moment.date())) % unit
