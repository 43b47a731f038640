"""What the database and the upstream say of the calls, read without the product's own code."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A request as the sandbox wrote it down."""

    model: str
    status: int
    prompt_tokens: int
    answer_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of usage; ``entry_id`` is the ledger entry that charged it."""

    request_id: str
    account_id: int
    token_id: int
    model: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    quota: int
    estimate: int
    usage_source: str
    error_code: str
    entry_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row of the ledger."""

    pk: int
    account_id: int
    kind: str
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    pk: int
    balance: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    pk: int
    quota_limit: int | None
    used_quota: int
    held: int


@dataclass(slots=True, kw_only=True)
class Books:
    """Everything in the database that tells of quota."""

    rows: list[Row]
    entries: list[Entry]
    accounts: dict[int, Account]
    tokens: dict[int, Token]
    open_holds: int


def read_books() -> Books:
    """Read the tables, when nothing is under way any more."""
    return Books(
        rows=[
            Row(**row)
            for row in _select(
                "request_id, account_id, token_id, model, prompt_tokens, cached_tokens, completion_tokens,"
                " quota, estimate, usage_source, error_code, ledger_entry_id AS entry_id"
                " FROM billing_usagerecord"
            )
        ],
        entries=[
            Entry(**row)
            for row in _select(
                "id AS pk, account_id, kind, amount, balance_after FROM billing_ledgerentry ORDER BY id"
            )
        ],
        accounts={
            row["pk"]: Account(**row)
            for row in _select("user_id AS pk, balance, held FROM billing_quotaaccount")
        },
        tokens={
            row["pk"]: Token(**row)
            for row in _select("token_id AS pk, quota_limit, used_quota, held FROM billing_tokenquota")
        },
        open_holds=count_holds(),
    )


def count_holds() -> int:
    [row] = list(_select("COUNT(*) AS holds FROM billing_hold"))
    return int(row["holds"])


def read_served(path: Path) -> dict[int, list[Served]]:
    """The sandbox's record, by the numbers of the calls."""
    served: dict[int, list[Served]] = defaultdict(list)
    with path.open(encoding="utf-8") as lines:
        for said in map(json.loads, lines):
            served[int(said["user"])].append(
                Served(
                    model=said["model"],
                    status=said["status"],
                    prompt_tokens=said["prompt_tokens"],
                    answer_tokens=said["completion_tokens"],
                )
            )
    return dict(served)


def _select(query: str) -> Iterable[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {query}")
        names = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            yield dict(zip(names, row, strict=True))
