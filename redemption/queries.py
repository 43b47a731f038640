"""Reading batches, codes and redemptions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import BigIntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.models import AuditEvent, Role, SubjectType, User
from billing.models import LedgerEntry
from redemption import code_format
from redemption.models import BatchDay, BatchState, CodeBatch, CodeStatus, Redemption, RedemptionCode
from redemption.services.secrets import code_digests


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """What became of a batch's codes, beside what is left of them; amounts in quota units."""

    made: int
    is_downloaded: bool
    redeemed: int
    """Redemptions: of codes with several uses there may be more than codes."""
    redeemed_quota: int
    reversed: int
    reversed_quota: int
    """What was taken back of it."""


def batches(
    *, state: BatchState | None = None, at: datetime | None = None, tag: str = "", name: str = ""
) -> QuerySet[CodeBatch]:
    """Batches with how often their codes were redeemed and how many of them are used up.

    :param state: of those that are in this state, at the moment ``at``
    :param name: a part of it
    """
    found = CodeBatch.objects.select_related("created_by")
    if state is not None and at is not None:
        found = found.in_state(state, at=at)
    if tag:
        found = found.filter(tag=tag)
    if name:
        found = found.filter(name__icontains=name)
    rows: QuerySet[CodeBatch] = found.annotate(  # type: ignore[no-redef]
        redeemed_count=_sum_of_days("redeemed_count"), used_count=_sum_of_days("used_count")
    )
    return rows


def tags() -> list[str]:
    """Every tag that a batch has, by name."""
    return list(CodeBatch.objects.exclude(tag="").values_list("tag", flat=True).distinct().order_by("tag"))


def funnel(batch: CodeBatch) -> Funnel:
    """
    :param batch: from :func:`batches`
    """
    taken_back = LedgerEntry.objects.filter(reverses__redemptions__batch=batch)
    amounts = [-amount for amount in taken_back.values_list("amount", flat=True)]
    return Funnel(
        made=batch.count if batch.ready_at else 0,
        is_downloaded=batch.downloaded_at is not None,
        redeemed=batch.redeemed_count,
        redeemed_quota=batch.redeemed_quota,
        reversed=len(amounts),
        reversed_quota=sum(amounts),
    )


def redeemed_by_day(batch: CodeBatch) -> Iterator[tuple[date, int]]:
    """Redemptions of every day from the first to the last on which there were some, in UTC."""
    sums = batch.days.values_list("day").annotate(count=Sum("redeemed_count"))
    counts = dict(sums.order_by("day"))
    if not counts:
        return
    day, last = min(counts), max(counts)
    while day <= last:
        yield day, counts.get(day, 0)
        day += timedelta(days=1)


def codes_of(batch: CodeBatch, *, hint: str = "", status: str = "") -> QuerySet[RedemptionCode]:
    """The codes of a batch, narrowed to those in a status, or to redeemed ones with a hint."""
    found = RedemptionCode.objects.select_related("redeemed_by").filter(batch=batch)
    if status in CodeStatus.values:
        found = found.filter(status=status)
    if hint:
        return found.filter(hint=hint, redeemed_at__isnull=False)
    return found.filter(pk__range=(batch.first_code_id or 0, batch.last_code_id or 0))


def codes_found(text: str) -> QuerySet[RedemptionCode]:
    """The codes that a person means who types or pastes one in any form, or the last four characters of one
    that was redeemed, as they stand in the statement of whoever did.

    :raises CodeMistypedError: if it is neither
    """
    codes = RedemptionCode.objects.select_related("batch", "redeemed_by")
    symbols = code_format.normalized(text)
    if len(symbols) == code_format.HINT_SYMBOLS:
        return codes.filter(hint=symbols, redeemed_at__isnull=False)
    return codes.found_by(code_digests(code_format.read(text)))


def redemptions(
    actor: User,
    *,
    redeemer: str = "",
    batch_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> QuerySet[Redemption]:
    """Redemptions with their codes, people and entries, as far as an operator may see them.

    :param redeemer: a person's name or number
    :param until: the first moment that does not belong to it
    """
    found = Redemption.objects.select_related("code", "batch", "user", "entry")
    if not actor.is_root:
        found = found.exclude(user__role=Role.ROOT)
    if redeemer:
        found = found.filter(user__in=User.objects.named(redeemer))
    conditions = {"batch": batch_id, "created_at__gte": since, "created_at__lt": until}
    found = found.filter(**{name: value for name, value in conditions.items() if value is not None})
    reversal = LedgerEntry.objects.filter(reverses=OuterRef("entry_id"))
    rows: QuerySet[Redemption] = found.annotate(  # type: ignore[no-redef]
        reversal_id=Subquery(reversal.values("pk")[:1]),
        reversed_quota=-Subquery(reversal.values("amount")[:1]),
    )
    return rows


def events_of(code: RedemptionCode, *, viewer: User) -> QuerySet[AuditEvent]:
    """What operators did to a code or to its whole batch, newest first, as far as somebody may see it."""
    own = Q(subject_type=SubjectType.CODE, subject_id=code.pk)
    of_batch = Q(subject_type=SubjectType.CODE_BATCH, subject_id=code.batch_id)
    events = AuditEvent.objects.visible_to(viewer).select_related("actor", "user")
    return events.filter(own | of_batch).order_by("-pk")


def _sum_of_days(name: str) -> Coalesce:
    days = BatchDay.objects.filter(batch=OuterRef("pk")).order_by().values("batch")
    total = Subquery(days.annotate(total=Sum(name)).values("total"), output_field=BigIntegerField())
    return Coalesce(total, 0)
