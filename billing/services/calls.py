"""Metered calls: one transaction for all that a process has waiting, so that they share its costs.

Locks are taken in one order everywhere: accounts by their ids, then, at the end, the rows that
everybody writes: channels by their ids, rollups by their keys.
"""

from collections.abc import Sequence
from datetime import datetime

from billing.services.books import Books
from billing.services.holds import (
    Admission,
    AdmitRequest,
    delete_holds,
    free,
    insert_holds,
    owners_of,
    reserve,
)
from billing.services.ledger import insert_usage
from billing.services.settle import Settled, Settlement, charge, find_charged, record
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.sql import Batch, durable_batch


def admit(*, requests: Sequence[AdmitRequest], at: datetime) -> list[Admission | DomainError]:
    """Reserve what calls can cost at most; see :func:`commit`."""
    _settled, decided = commit(requests=requests, at=at)
    return decided


def settle(*, settlements: Sequence[Settlement], at: datetime) -> list[Settled]:
    """Charge calls; see :func:`commit`."""
    settled, _decided = commit(settlements=settlements, at=at)
    return settled


def commit(
    *,
    settlements: Sequence[Settlement] = (),
    requests: Sequence[AdmitRequest] = (),
    at: datetime,
    is_retry: bool = False,
) -> tuple[list[Settled], list[Admission | DomainError]]:
    """Charge the calls that are over, then admit those that begin, first come first served.

    A call is charged once, as it is handed in first, and its hold is dropped. One whose
    hold was swept meanwhile is charged all the same; one whose cost passed its estimate is
    charged in full and logged, and its account may fall below zero.

    :param is_retry: whether the same was tried before and nobody knows how that ended: what requests may have
        got then is given back before they are decided again
    :returns: one result a settlement and one a request, in their orders; a request's is its
        admission or the reason for its refusal
    """
    unique: dict[str, Settlement] = {}
    for settlement in settlements:
        unique.setdefault(settlement.request_id, settlement)
    retried = [request.request_id for request in requests] if is_retry else []
    with durable_batch() as batch:
        books = Books(
            batch,
            account_ids=[
                *(settlement.account_id for settlement in unique.values()),
                *owners_of(batch, request_ids=retried),
            ],
            key_hashes=(request.key_hash for request in requests),
        )
        deleted = delete_holds(batch, request_ids=[*unique, *retried])
        books.read()
        dropped = free(books, deleted)
        charged = find_charged(batch, unique.keys() - {request_id for request_id, *_ in dropped})
        fresh = [call for request_id, call in unique.items() if request_id not in charged]
        charge(books=books, settlements=fresh)
        _insert_entries(batch, books, at)
        decided = reserve(books=books, requests=requests, at=at)
        insert_holds(batch, requests, decided, at)
        books.write()
        if fresh:
            record(batch, fresh)
    quotas = {request_id: call.quota for request_id, call in unique.items()} | charged
    settled = [
        Settled(quota=quotas[s.request_id], available=books.accounts[s.account_id].available)
        for s in settlements
    ]
    return settled, decided


def _insert_entries(batch: Batch, books: Books, at: datetime) -> None:
    """One ledger entry for each account that was charged."""
    charges = [(pk, funds.charged, funds.balance) for pk, funds in books.accounts.items() if funds.charged]
    if charges:
        insert_usage(batch, charges, at)
