"""Comparing the tokens that a provider counted with ours: whether a drift is a matter of prices or of calls.

Nothing is kept: the provider is asked whenever somebody wants to know.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from cryptography.fernet import InvalidToken
from django.db import models
from django.db.models import Count, Sum
from django.utils.translation import gettext_lazy as _

from billing.models import Channel, Reconciliation, ReconciliationStatus, UsageSource
from billing.queries.reconciliations import LONGEST_CALL, calls_between
from billing.upstream.balances.errors import BalanceRefusedError
from billing.upstream.balances.reading import Account
from billing.upstream.usage_reports.registry import REPORTS, read_usage
from billing.upstream.usage_reports.report import Span, Tokens
from oneapi_admin.lib.errors import DomainError

LATE = timedelta(minutes=15)
"""Reports have what happened before this time ago, as a rule."""
_EDITION = re.compile(r"-(latest|\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$", re.ASCII)
_INSTANT = timedelta(microseconds=1)


class UsageNotReportedError(DomainError):
    code = "usage_not_reported"
    http_status = 409
    message = _("The provider of “%(name)s” tells no token counts.")
    remedy = _("OpenAI and Anthropic do, to an admin key: choose them as where the balance is read from.")


class Finding(models.TextChoices):
    """What follows from a comparison."""

    NOTHING = "nothing", _("Neither side counted any tokens.")
    AGREES = "agrees", _("The tokens agree.")
    PRICE = "price", _("The tokens agree: a price is likely wrong, unless the next interval evens it out.")
    CACHED_TOKENS = (
        "cached_tokens",
        _("The tokens agree, but not how many of them were cached, which have a price of their own."),
    )
    OTHER_MODELS = (
        "other_models",
        _("All in all the tokens agree, but the provider counts them for other models, at other prices."),
    )
    PROVIDER_MORE = (
        "provider_more",
        _("The provider counts more: the account is used by others too, or by other channels here."),
    )
    OURS_MORE = (
        "ours_more",
        _("Ours are more: the report is late, leaves out calls of another project, or ours are estimates."),
    )
    CALLS_IN_FLIGHT = (
        "calls_in_flight",
        _("Calls under way at the beginning or end may be all of it: the provider may count them earlier."),
    )
    COUNTED_OTHERWISE = (
        "counted_otherwise",
        _("One kind of tokens is more, the other less: the provider counts in another way than we do."),
    )


_OF_WAYS: Mapping[frozenset[int], Finding] = {
    frozenset({1}): Finding.PROVIDER_MORE,
    frozenset({-1}): Finding.OURS_MORE,
    frozenset({1, -1}): Finding.COUNTED_OTHERWISE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A model, or all of them, on both sides."""

    model: str
    """Without the date of its edition, since providers name the edition that an undated name led to."""
    names: Sequence[str]
    """What either side calls it."""
    ours: Tokens
    theirs: Tokens

    @property
    def difference(self) -> int:
        """Above 0 where the provider counts more."""
        return self.theirs.total - self.ours.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was counted on both sides in the whole minutes or hours around an interval."""

    span: Span
    models: Sequence[Compared]
    """Those with the largest differences first."""
    total: Compared
    finding: Finding
    is_recent: bool
    """Whether the report may still lack some of it."""


def has_usage_report(channel: Channel) -> bool:
    """Whether the provider of a channel tells how many tokens it counted."""
    return channel.source_of_balance in REPORTS


def compare_usage(*, row: Reconciliation, at: datetime) -> Comparison:
    """Ask the provider how many tokens it counted around an interval, and compare that with ours.

    :raises UsageNotReportedError: if it tells nobody
    :raises BalanceUnavailableError: if it could not be asked now
    :raises BalanceRefusedError: if it refuses or is not understood
    """
    channel = row.channel
    if not has_usage_report(channel):
        raise UsageNotReportedError(name=channel.name)
    span = Span.around(row.began_at, row.ended_at)
    theirs = read_usage(channel.source_of_balance, _account(channel), span, now=at)
    compared = _by_family(_metered(channel, span), theirs)
    total = _all(compared)
    return Comparison(
        span=span,
        models=sorted(compared, key=lambda one: (-abs(one.difference), one.model)),
        total=total,
        finding=_finding(row, span, compared, total),
        is_recent=at < span.until + LATE,
    )


def _account(channel: Channel) -> Account:
    try:
        return Account(base_url=channel.base_url, key=channel.get_key(), admin=channel.get_balance_access())
    except InvalidToken as exc:
        raise BalanceRefusedError(reason=_("The key cannot be decrypted: enter it again.")) from exc


def _metered(channel: Channel, span: Span) -> dict[str, Tokens]:
    """What was served to callers; a call of which nothing was used counts at no provider."""
    calls = calls_between(channel.pk, span.since - _INSTANT, span.until - _INSTANT)
    rows = (
        calls.exclude(usage_source=UsageSource.NONE)
        .values("served_model")
        .annotate(
            requests=Count("pk"),
            prompt=Sum("prompt_tokens"),
            cached=Sum("cached_tokens"),
            completion=Sum("completion_tokens"),
        )
    )
    return {
        row["served_model"]: Tokens(
            requests=row["requests"],
            prompt_tokens=row["prompt"],
            cached_tokens=row["cached"],
            completion_tokens=row["completion"],
        )
        for row in rows
    }


def _under_way(channel_id: int, edge: datetime) -> Tokens:
    """What the calls used that began before a moment and ended after it."""
    calls = calls_between(channel_id, edge - _INSTANT, edge + LONGEST_CALL)
    rows = calls.exclude(usage_source=UsageSource.NONE).values_list(
        "created_at", "duration_ms", "prompt_tokens", "completion_tokens"
    )
    return sum(
        (
            Tokens(requests=1, prompt_tokens=prompt, cached_tokens=None, completion_tokens=completion)
            for ended, took, prompt, completion in rows
            if ended - timedelta(milliseconds=took) < edge
        ),
        Tokens(),
    )


def _by_family(ours: Mapping[str, Tokens], theirs: Mapping[str, Tokens]) -> list[Compared]:
    families: dict[str, set[str]] = {}
    for name in [*ours, *theirs]:
        families.setdefault(_EDITION.sub("", name), set()).add(name)
    return [
        Compared(model=family, names=sorted(names), ours=_sum_of(ours, names), theirs=_sum_of(theirs, names))
        for family, names in families.items()
    ]


def _sum_of(used: Mapping[str, Tokens], names: set[str]) -> Tokens:
    return sum((tokens for name, tokens in used.items() if name in names), Tokens())


def _all(compared: Sequence[Compared]) -> Compared:
    return Compared(
        model="",
        names=[],
        ours=sum((one.ours for one in compared), Tokens()),
        theirs=sum((one.theirs for one in compared), Tokens()),
    )


def _finding(row: Reconciliation, span: Span, compared: Sequence[Compared], total: Compared) -> Finding:
    most = max(total.ours.total, total.theirs.total)
    if not most:
        return Finding.NOTHING
    if ways := _ways(total.ours, total.theirs, row.tolerance):
        return Finding.CALLS_IN_FLIGHT if _is_in_flight(row, span, total) else _OF_WAYS[ways]
    if sum(abs(one.difference) for one in compared) * 100 > row.tolerance * most:
        return Finding.OTHER_MODELS
    if _way(total.ours.cached_tokens, total.theirs.cached_tokens, row.tolerance):
        return Finding.CACHED_TOKENS
    return Finding.PRICE if row.status == ReconciliationStatus.DRIFT else Finding.AGREES


def _is_in_flight(row: Reconciliation, span: Span, total: Compared) -> bool:
    """Whether what differs is no more than what was under way at the edges.

    We count a call when it ends. A provider that counts it earlier has those of the end, too, and lacks those
    of the beginning.
    """
    above = _ways(total.ours + _under_way(row.channel_id, span.until), total.theirs, row.tolerance)
    below = _ways(total.ours, total.theirs + _under_way(row.channel_id, span.since), row.tolerance)
    return 1 not in above and -1 not in below


def _ways(ours: Tokens, theirs: Tokens, tolerance: Decimal) -> frozenset[int]:
    """In which ways the two kinds of tokens differ; empty where they agree."""
    found = (
        _way(ours.prompt_tokens, theirs.prompt_tokens, tolerance),
        _way(ours.completion_tokens, theirs.completion_tokens, tolerance),
    )
    return frozenset(filter(None, found))


def _way(ours: int | None, theirs: int | None, tolerance: Decimal) -> int:
    """Above 0 where the provider counts more, below it where we do, 0 within the tolerance or if not told."""
    if ours is None or theirs is None or abs(theirs - ours) * 100 <= tolerance * max(ours, theirs):
        return 0
    return 1 if theirs > ours else -1
