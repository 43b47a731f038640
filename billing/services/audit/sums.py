"""Sums of calls and entries, counted anew from the rows into scratch tables, and kept by checkpoints.

Everything is added up by the database, some rows at a time; this process only hands out ranges of ids.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from billing.services.audit.session import Session

SETTLED, TAIL = 0, 1
"""Rows that a checkpoint may stand for, and those after them."""

_CALL_SUMS = (
    "request_count",
    "failure_count",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "quota",
)
_COUNTED = {
    "request_count": "COUNT(*)",
    "failure_count": "SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END)",
}
"""How a sum is made of calls, where it is not the sum of the column with its name."""

_EXPRESSIONS = {
    "postgresql": {
        "day": "(created_at AT TIME ZONE 'UTC')::date",
        # Half as long as date_trunc, which looks into the calendar; hours of UTC are all alike.
        "hour": "date_bin('1 hour', created_at, timestamptz '2000-01-01 00:00:00+00')",
    },
    "sqlite": {"day": "substr(created_at, 1, 10)", "hour": "substr(created_at, 1, 13) || ':00:00'"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SumsTable:
    """Where sums of one kind are: in a scratch table, in checkpoints, and in the product's own table."""

    scratch: str
    stored: str
    present: str = ""
    keys: tuple[str, ...]
    sums: tuple[str, ...]

    @property
    def columns(self) -> str:
        return ", ".join((*self.keys, *self.sums))


DAYS = SumsTable(
    scratch="audit_days",
    stored="billing_checkpointday",
    present="billing_usagedaily",
    keys=("day", "account_id", "token_id", "model"),
    sums=_CALL_SUMS,
)
HOURS = SumsTable(
    scratch="audit_hours",
    stored="billing_checkpointhour",
    present="billing_usagehourly",
    keys=("hour", "channel_id", "model"),
    sums=(*_CALL_SUMS, "upstream_cost", "duration_ms"),
)
ACCOUNTS = SumsTable(
    scratch="audit_accounts",
    stored="billing_checkpointaccount",
    keys=("account_id",),
    sums=("entries", "amount", "last_entry_id", "balance_after"),
)
TABLES = (DAYS, HOURS, ACCOUNTS)


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids above one and up to another, or all above it."""

    above: int
    upto: int | None = None

    @property
    def count(self) -> int:
        """How many there can be; 0 where there is no end."""
        return 0 if self.upto is None else max(0, self.upto - self.above)

    def pieces(self, size: int) -> Iterator["Ids"]:
        if self.upto is None:
            yield self
            return
        for above in range(self.above, self.upto, size):
            yield Ids(above, min(above + size, self.upto))

    def condition(self, column: str) -> str:
        end = "" if self.upto is None else f" AND {column} <= {self.upto}"
        return f"{column} > {self.above}{end}"


def proven(table: SumsTable, lineage: Sequence[int]) -> str:
    """A query for all sums: those of the checkpoints, and of what this audit read."""
    return (
        f"SELECT {table.columns} FROM {table.scratch} UNION ALL SELECT {table.columns}"
        f" FROM {table.stored} WHERE checkpoint_id IN ({', '.join(map(str, lineage)) or 'NULL'})"
    )


def prepare(session: Session, lineage: Sequence[int]) -> None:
    """Make the scratch tables, which end with the session."""
    for table in TABLES:
        session.execute(
            f"CREATE TEMPORARY TABLE {table.scratch} AS"
            f" SELECT {SETTLED} AS part, {table.columns} FROM {table.stored} WHERE 1 = 0"
        )
    # Where each account's chain ended before what is read next.
    session.execute(
        "CREATE TEMPORARY TABLE audit_chains (account_id BIGINT PRIMARY KEY,"
        " last_entry_id BIGINT NOT NULL, balance_after BIGINT NOT NULL)"
    )
    _follow_chains(session, proven(ACCOUNTS, lineage))


def add_calls(session: Session, calls: Ids, *, part: int) -> None:
    """Sum calls by day and by hour."""
    for table in (DAYS, HOURS):
        span, *others = table.keys
        keys = ", ".join((_EXPRESSIONS[session.vendor][span], *others))
        values = ", ".join(_COUNTED.get(name, f"SUM({name})") for name in table.sums)
        session.execute(
            f"INSERT INTO {table.scratch} (part, {table.columns}) SELECT {part}, {keys}, {values}"
            f" FROM billing_usagerecord WHERE {calls.condition('id')} GROUP BY {keys}"
        )


def broken_chains(entries: Ids) -> str:
    """A query for the entries whose balance does not follow from the one before."""
    return f"""
        SELECT 'entry ' || c.id FROM (
          SELECT id, account_id, amount, balance_after,
                 LAG(balance_after) OVER (PARTITION BY account_id ORDER BY id) AS before
          FROM billing_ledgerentry WHERE {entries.condition("id")}) c
        LEFT JOIN audit_chains k ON k.account_id = c.account_id
        WHERE c.balance_after <> COALESCE(c.before, k.balance_after, 0) + c.amount"""


def add_entries(session: Session, entries: Ids, *, part: int) -> None:
    """Sum entries by account, and remember where the chains of the settled ones end."""
    session.execute(
        f"""INSERT INTO audit_accounts (part, {ACCOUNTS.columns})
            SELECT {part}, g.account_id, g.entries, g.amount, g.last_entry_id, e.balance_after FROM (
              SELECT account_id, COUNT(*) AS entries, SUM(amount) AS amount, MAX(id) AS last_entry_id
              FROM billing_ledgerentry WHERE {entries.condition("id")} GROUP BY account_id) g
            JOIN billing_ledgerentry e ON e.id = g.last_entry_id"""
    )
    if part == SETTLED:
        _follow_chains(session, f"SELECT * FROM audit_accounts WHERE {entries.condition('last_entry_id')}")


def _follow_chains(session: Session, sums: str) -> None:
    session.execute(
        f"""INSERT INTO audit_chains (account_id, last_entry_id, balance_after)
            SELECT s.account_id, s.last_entry_id, s.balance_after FROM ({sums}) s
            JOIN (SELECT account_id, MAX(last_entry_id) AS newest FROM ({sums}) a GROUP BY account_id) n
              ON n.account_id = s.account_id AND n.newest = s.last_entry_id
            WHERE 1 = 1
            ON CONFLICT (account_id) DO UPDATE
              SET last_entry_id = excluded.last_entry_id, balance_after = excluded.balance_after"""
    )


def counts(session: Session, source: str) -> tuple[int, int]:
    """How many calls and entries the scratch tables sum up.

    :param source: a condition on ``part``
    """
    calls, entries = session.row(
        f"SELECT (SELECT COALESCE(SUM(request_count), 0) FROM audit_hours WHERE {source}),"
        f" (SELECT COALESCE(SUM(entries), 0) FROM audit_accounts WHERE {source})"
    )
    return int(calls), int(entries)


def analyze(session: Session) -> None:
    """Let PostgreSQL plan with what the scratch tables hold; nothing else does it for temporary ones."""
    if session.vendor == "postgresql":
        for table in TABLES:
            session.execute(f"ANALYZE {table.scratch}")
