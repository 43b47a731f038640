"""Reading the whole ledger, as far as an operator may."""

from collections.abc import Iterator

from django import forms
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, User
from billing.models import EntryKind, LedgerEntry, UsageRecord
from billing.queries.usage import with_refunds
from oneapi_admin.lib.days import end_of, midnight
from oneapi_admin.lib.pagination import pages_of
from oneapi_admin.lib.quota import to_usd

CALLS_SHOWN = 20
CSV_HEADER = [
    "id",
    "time",
    "user_id",
    "user",
    "kind",
    "quota",
    "usd",
    "balance_after",
    "actor",
    "memo",
    "reference",
    "reverses",
]


class LedgerFilterForm(forms.Form):
    """What the ledger is narrowed to; days are whole ones, in the site's time zone."""

    user = forms.CharField(label=_("User name or number"), max_length=64, required=False)
    kind = forms.ChoiceField(
        label=_("Kind"), choices=[("", _("All kinds")), *EntryKind.choices], required=False
    )
    since = forms.DateField(label=_("From"), required=False)
    until = forms.DateField(label=_("To"), required=False)
    request = forms.CharField(label=_("Request id"), max_length=64, required=False)


def visible_entries(actor: User) -> QuerySet[LedgerEntry]:
    """Every entry for root; an administrator does not see root's."""
    entries = with_reversals(LedgerEntry.objects.select_related("account__user", "actor", "reverses"))
    return entries if actor.is_root else entries.exclude(account__user__role=Role.ROOT)


def entries_in_full(actor: User) -> QuerySet[LedgerEntry]:
    """The visible entries, with who approved them where somebody had to."""
    return visible_entries(actor).select_related("approval__proposal__decision__actor")


def with_reversals(entries: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
    """The same entries with their ``reversal_id``."""
    reversal = LedgerEntry.objects.filter(reverses=OuterRef("pk"))
    found = Subquery(reversal.values("pk")[:1])
    rows: QuerySet[LedgerEntry] = entries.annotate(reversal_id=found)  # type: ignore[no-redef]
    return rows


def filtered_entries(actor: User, form: LedgerFilterForm) -> QuerySet[LedgerEntry]:
    """The visible entries that a filter leaves; a filter that cannot be read leaves none."""
    entries = visible_entries(actor)
    if not form.is_valid():
        return entries.none()
    data = form.cleaned_data
    if data["user"]:
        entries = entries.filter(account__in=User.objects.named(data["user"]).values("pk"))
    if data["kind"]:
        entries = entries.filter(kind=data["kind"])
    if data["since"]:
        entries = entries.filter(created_at__gte=midnight(data["since"]))
    if data["until"]:
        entries = entries.filter(created_at__lt=end_of(data["until"]) or midnight(data["until"]))
    if data["request"]:
        charged = UsageRecord.objects.filter(request_id=data["request"])
        refunds = Q(reference=data["request"]) & ~Q(reference="")  # as the index has it
        entries = entries.filter(Q(pk__in=list(charged.values_list("ledger_entry_id", flat=True))) | refunds)
    return entries


def calls_of(entry: LedgerEntry) -> tuple[list[UsageRecord], int]:
    """The first calls that an entry charged, and how many there are beside them."""
    if entry.kind != EntryKind.USAGE:
        return [], 0
    calls = with_refunds(UsageRecord.objects.filter(ledger_entry=entry)).order_by("pk")
    shown = list(calls[:CALLS_SHOWN])
    is_all = len(shown) < CALLS_SHOWN
    return shown, 0 if is_all else UsageRecord.objects.filter(ledger_entry=entry).count() - len(shown)


def csv_rows(actor: User, entries: QuerySet[LedgerEntry]) -> Iterator[list[object]]:
    """The entries as rows under ``CSV_HEADER``, newest first, read in portions."""
    for portion in pages_of(entries):
        for entry in portion:
            yield [
                entry.pk,
                entry.created_at,
                entry.account_id,
                entry.account.user.username,
                entry.kind,
                entry.amount,
                f"{to_usd(entry.amount):f}",
                entry.balance_after,
                actor_name(entry.actor, viewer=actor),
                entry.memo,
                entry.reference,
                entry.reverses_id,
            ]


def actor_name(person: User | None, *, viewer: User) -> str:
    """Who did it; to those below root, root is a role and not a person."""
    if person is None:
        return ""
    return str(Role.ROOT.label) if person.is_root and not viewer.is_root else person.username
