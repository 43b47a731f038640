"""Reading proposals, as far as an operator may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from billing.models import LedgerEntry, Proposal, ProposalKind, UsageRecord
from billing.models.approvals import ProposalQuerySet
from billing.queries.ledger import visible_entries
from billing.queries.usage import visible_usage

ITEMS_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Somebody's part of a bulk top-up, in quota units."""

    user: User | None
    user_id: int
    quota: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a proposal is about, as far as there is more to it than an amount and a person."""

    entry: LedgerEntry | None = None
    """What is to be reversed."""
    call: UsageRecord | None = None
    """What is to be refunded."""
    items: Sequence[Item] = ()
    more_items: int = 0


def visible_proposals(actor: User) -> ProposalQuerySet:
    """With the people who have to do with them, and whether there is anybody who could approve them."""
    proposals = Proposal.objects.visible_to(actor).with_approvers()
    return proposals.select_related("proposer", "user", "decision__actor")


def waiting_count(actor: User, *, at: datetime) -> int:
    """How many proposals wait for this operator."""
    return Proposal.objects.visible_to(actor).open(at).exclude(proposer=actor).count()


def operator_count() -> int:
    """How many operators there are who may sign in."""
    count: int = User.objects.operators().count()
    return count


def asked(actor: User, proposal: Proposal) -> Asked:
    """What a proposal is about."""
    request = proposal.request
    if proposal.kind == ProposalKind.REVERSAL:
        return Asked(entry=visible_entries(actor).filter(pk=request["entry_id"]).first())
    if proposal.kind == ProposalKind.REFUND:
        return Asked(call=visible_usage(actor).filter(pk=request["call_id"]).first())
    if proposal.kind == ProposalKind.BULK_TOP_UP:
        items = _items(actor, request["items"][:ITEMS_SHOWN])
        return Asked(items=items, more_items=len(request["items"]) - len(items))
    return Asked()


def _items(actor: User, items: Sequence[Mapping[str, int]]) -> list[Item]:
    people = User.objects.visible_to(actor).in_bulk({item["user_id"] for item in items})
    return [
        Item(user=people.get(item["user_id"]), user_id=item["user_id"], quota=item["quota"]) for item in items
    ]
