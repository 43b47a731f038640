"""What an operator may ask for that moves quota: kept as plain values, so that it can be done later.

An act names people, entries and calls by their numbers. Carrying it out reads them anew, and with them all
that may have changed since it was asked for.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from accounts.models import User
from billing.models import BulkTopUp, LedgerEntry, ProposalKind, UsageRecord
from billing.services import accounts, bulk, bulk_undo, refunds, reversals
from oneapi_admin.lib.errors import DomainError

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry that an act has written; ``amount`` in quota units."""

    entry_id: int
    account_id: int
    amount: int


@dataclass(frozen=True, kw_only=True)
class Act(ABC, Generic[Result]):
    """Something that an operator asks for; its fields are what JSON can hold."""

    kind: ClassVar[ProposalKind]

    memo: str
    idempotency_key: str | None = None

    @abstractmethod
    def carry_out(self, *, actor: User, at: datetime) -> Result:
        """Do it, by the service that it is for.

        :raises DomainError: if that refuses it
        """

    @abstractmethod
    def movements(self, result: Result) -> Iterator[Movement]:
        """What was written for it; not what had been written before under the same idempotency key."""

    def refusal(self, _result: Result) -> DomainError | None:
        """Why a part of it was refused, where parts are."""
        return None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Act[Result]":
        return cls(**fields)


class _OneEntry(Act[LedgerEntry]):
    """An act that makes one entry."""

    def movements(self, result: LedgerEntry) -> Iterator[Movement]:
        yield from _fresh([result])


@dataclass(frozen=True, kw_only=True)
class TopUp(_OneEntry):
    kind = ProposalKind.TOP_UP

    user_id: int
    quota: int

    def carry_out(self, *, actor: User, at: datetime) -> LedgerEntry:
        return accounts.top_up(
            actor=actor,
            user=_correctable(actor, self.user_id),
            quota=self.quota,
            memo=self.memo,
            idempotency_key=self.idempotency_key,
            at=at,
        )


@dataclass(frozen=True, kw_only=True)
class Adjustment(_OneEntry):
    kind = ProposalKind.ADJUSTMENT

    user_id: int
    quota: int

    def carry_out(self, *, actor: User, at: datetime) -> LedgerEntry:
        return accounts.adjust(
            actor=actor,
            user=_correctable(actor, self.user_id),
            quota=self.quota,
            memo=self.memo,
            idempotency_key=self.idempotency_key,
            at=at,
        )


@dataclass(frozen=True, kw_only=True)
class Refund(_OneEntry):
    kind = ProposalKind.REFUND

    call_id: int
    quota: int | None
    """None for all that was not refunded before."""

    def carry_out(self, *, actor: User, at: datetime) -> LedgerEntry:
        return refunds.refund(
            actor=actor,
            call=UsageRecord.objects.select_related("account__user").get(pk=self.call_id),
            quota=self.quota,
            memo=self.memo,
            idempotency_key=self.idempotency_key,
            at=at,
        )


@dataclass(frozen=True, kw_only=True)
class Reversal(_OneEntry):
    kind = ProposalKind.REVERSAL

    entry_id: int
    allow_partial: bool

    def carry_out(self, *, actor: User, at: datetime) -> LedgerEntry:
        return reversals.reverse(
            actor=actor,
            entry=LedgerEntry.objects.select_related("account__user").get(pk=self.entry_id),
            memo=self.memo,
            allow_partial=self.allow_partial,
            idempotency_key=self.idempotency_key,
            at=at,
        )


@dataclass(frozen=True, kw_only=True)
class TopUpMany(Act[list[LedgerEntry | DomainError]]):
    kind = ProposalKind.BULK_TOP_UP

    items: Sequence[bulk.TopUp]

    def carry_out(self, *, actor: User, at: datetime) -> list[LedgerEntry | DomainError]:
        return bulk.top_up_many(actor=actor, items=self.items, memo=self.memo, at=at)

    def movements(self, result: list[LedgerEntry | DomainError]) -> Iterator[Movement]:
        yield from _fresh([item for item in result if isinstance(item, LedgerEntry)])

    def refusal(self, result: list[LedgerEntry | DomainError]) -> DomainError | None:
        return next((item for item in result if isinstance(item, DomainError)), None)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "TopUpMany":
        return cls(**{**fields, "items": [bulk.TopUp(**item) for item in fields["items"]]})


@dataclass(frozen=True, kw_only=True)
class BulkUndo(Act[list[bulk_undo.Undone]]):
    kind = ProposalKind.BULK_UNDO

    bulk_top_up_id: int
    allow_partial: bool

    def carry_out(self, *, actor: User, at: datetime) -> list[bulk_undo.Undone]:
        run = BulkTopUp.objects.get(pk=self.bulk_top_up_id)
        return bulk_undo.undo(actor=actor, run=run, memo=self.memo, allow_partial=self.allow_partial, at=at)

    def movements(self, result: list[bulk_undo.Undone]) -> Iterator[Movement]:
        for item in result:
            if item.reversal_id is not None:
                yield Movement(item.reversal_id, item.entry.account_id, -item.amount)

    def refusal(self, result: list[bulk_undo.Undone]) -> DomainError | None:
        return next((item.refusal for item in result if item.refusal is not None), None)


_ACTS: dict[str, type[Act[Any]]] = {
    act.kind: act for act in (TopUp, Adjustment, Refund, Reversal, TopUpMany, BulkUndo)
}


def act_of(*, kind: str, request: Mapping[str, Any]) -> Act[Any]:
    """The act that was kept as ``as_json`` had it."""
    return _ACTS[kind].from_json(request)


def _fresh(entries: Sequence[LedgerEntry]) -> Iterator[Movement]:
    for entry in entries:
        if not entry.is_replay:
            yield Movement(entry.pk, entry.account_id, entry.amount)


def _correctable(actor: User, user_id: int) -> User:
    """The person, if their quota still moves.

    :raises DomainError: if it does not, or not by this actor
    """
    user: User = User.objects.get(pk=user_id)
    reversals.check_may_correct(actor=actor, user=user)
    return user
