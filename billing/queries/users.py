"""Reading people with what they have and use."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import BigIntegerField, Exists, F, OuterRef, QuerySet, Sum, Value
from django.db.models.functions import Coalesce
from django.http import QueryDict

from accounts.models import Role, Token, User, UserStatus
from billing.models import LedgerEntry, UsageDaily, UsageRecord
from billing.queries.ledger import with_reversals
from billing.queries.usage import with_refunds

RECENT_ENTRIES = 10
MAX_TOKENS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFilters:
    """What the list of people is narrowed to; an empty text is no filter."""

    q: str = ""
    status: str = ""
    role: str = ""
    group: str = ""

    @classmethod
    def of(cls, query: QueryDict) -> "UserFilters":
        """Read them from an address; what makes no sense is left out."""
        status, role = query.get("status", ""), query.get("role", "")
        return cls(
            q=query.get("q", "").strip()[:64],
            status=status if status in UserStatus.values else "",
            role=role if role in Role.values else "",
            group=query.get("group", "")[:32],
        )

    @property
    def is_active(self) -> bool:
        return bool(self.q or self.status or self.role or self.group)


def people(*, actor: User, filters: UserFilters | None = None) -> QuerySet[User]:
    """Whom the actor may see, with ``balance``, ``held``, ``used_quota``, ``request_count`` in quota units
    and calls, and ``is_manageable``, whether the actor may change and top them up.
    """
    found = User.objects.visible_to(actor)
    filters = filters or UserFilters()
    if filters.q:
        found = found.search(filters.q)
    exact = {name: getattr(filters, name) for name in ("status", "role", "group") if getattr(filters, name)}
    counters = {
        name: Coalesce(F(f"quota_account__{name}"), Value(0), output_field=BigIntegerField())
        for name in ("balance", "held", "used_quota", "request_count")
    }
    manageable = User.objects.manageable_by(actor).filter(pk=OuterRef("pk"))
    rows: QuerySet[User] = found.filter(**exact).annotate(**counters, is_manageable=Exists(manageable))
    return rows


def groups() -> list[str]:
    """Every group that somebody is in, by name."""
    return list(User.objects.present().values_list("group", flat=True).distinct().order_by("group"))


def tokens_of(user: User) -> list[Token]:
    """A person's tokens with their budgets, newest first."""
    return list(Token.objects.owned_by(user).select_related("quota").order_by("-pk")[:MAX_TOKENS])


def recent_entries(user: User) -> list[LedgerEntry]:
    """The last movements of a person's quota."""
    entries = with_reversals(LedgerEntry.objects.filter(account_id=user.pk))
    return list(entries.select_related("actor", "reverses").order_by("-pk")[:RECENT_ENTRIES])


def recent_calls(user: User) -> list[UsageRecord]:
    """A person's last calls."""
    calls = with_refunds(UsageRecord.objects.filter(account_id=user.pk))
    return list(calls.order_by("-pk")[:RECENT_ENTRIES])


def usage_by_model(user: User, *, since: date) -> list[dict[str, Any]]:
    """A person's use since a UTC day, by model, the dearest first."""
    sums = {
        name: Sum(name)
        for name in ("request_count", "failure_count", "prompt_tokens", "completion_tokens", "quota")
    }
    rows = UsageDaily.objects.filter(account_id=user.pk, day__gte=since).values("model")
    return list(rows.annotate(**sums).order_by("-quota", "model"))
