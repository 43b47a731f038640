"""Proves that every unit of quota is accounted for, by counting everything again."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.models import AuditRun

_MAX_IDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One invariant: how many rows it was checked on and which broke it."""

    code: str
    checked: int
    broken: int
    broken_ids: tuple[str, ...]
    """The first 20 offenders."""

    @property
    def title(self) -> str:
        return str(TITLES[self.code])


TITLES: dict[str, str | Promise] = {
    "I1": _("Every balance is the sum of its ledger entries"),
    "I2": _("Each entry's balance follows from the one before"),
    "I3": _("What accounts and tokens hold is the sum of their open holds"),
    "I4": _("Every usage entry is the sum of its calls"),
    "I5": _("A code is used if and only if exactly one entry names it"),
    "I6": _("The daily and hourly sums equal the calls"),
    "I7": _("The counters of accounts, tokens and channels equal the calls"),
}

# Each query returns the offenders' ids; the second the number of rows looked at.
_QUERIES: dict[str, tuple[str, str]] = {
    "I1": (
        """SELECT 'account ' || a.user_id FROM billing_quotaaccount a
           LEFT JOIN (SELECT account_id, SUM(amount) AS total FROM billing_ledgerentry GROUP BY account_id) e
             ON e.account_id = a.user_id
           WHERE a.balance <> COALESCE(e.total, 0)""",
        "SELECT COUNT(*) FROM billing_quotaaccount",
    ),
    "I2": (
        """SELECT 'entry ' || id FROM (
             SELECT id, balance_after, amount,
                    LAG(balance_after, 1, 0) OVER (PARTITION BY account_id ORDER BY id) AS before
             FROM billing_ledgerentry) chain
           WHERE balance_after <> before + amount""",
        "SELECT COUNT(*) FROM billing_ledgerentry",
    ),
    "I3": (
        """SELECT 'account ' || a.user_id FROM billing_quotaaccount a
           LEFT JOIN (SELECT account_id, SUM(amount) AS total FROM billing_hold GROUP BY account_id) h
             ON h.account_id = a.user_id
           WHERE a.held <> COALESCE(h.total, 0)
           UNION ALL
           SELECT 'token ' || t.token_id FROM billing_tokenquota t
           LEFT JOIN (SELECT token_id, SUM(amount) AS total FROM billing_hold GROUP BY token_id) h
             ON h.token_id = t.token_id
           WHERE t.held <> COALESCE(h.total, 0)""",
        "SELECT COUNT(*) FROM billing_hold",
    ),
    "I4": (
        """SELECT 'entry ' || e.id FROM billing_ledgerentry e
           LEFT JOIN (SELECT ledger_entry_id, SUM(quota) AS total, MIN(account_id) AS lowest, MAX(account_id) AS highest
                      FROM billing_usagerecord WHERE ledger_entry_id IS NOT NULL GROUP BY ledger_entry_id) u
             ON u.ledger_entry_id = e.id
           WHERE (e.kind = 'usage' AND (-e.amount <> COALESCE(u.total, 0) OR u.lowest <> e.account_id
                                        OR u.highest <> e.account_id))
              OR (e.kind <> 'usage' AND u.total IS NOT NULL)""",
        "SELECT COUNT(*) FROM billing_usagerecord WHERE ledger_entry_id IS NOT NULL",
    ),
    "I5": (
        """SELECT 'code ' || c.id FROM redemption_redemptioncode c
           LEFT JOIN (SELECT reference, COUNT(*) AS entries, MIN(amount) AS amount, MIN(account_id) AS account_id
                      FROM billing_ledgerentry WHERE kind = 'redemption' GROUP BY reference) e
             ON e.reference = 'code:' || c.id
           WHERE (c.status = 'used' AND (e.entries IS NULL OR e.entries <> 1 OR e.amount <> c.quota
                                         OR e.account_id <> c.redeemed_by_id))
              OR (c.status <> 'used' AND e.entries IS NOT NULL)
           UNION ALL
           SELECT 'entry ' || e.id FROM billing_ledgerentry e
           LEFT JOIN redemption_redemptioncode c ON e.reference = 'code:' || c.id
           WHERE e.kind = 'redemption' AND c.id IS NULL""",
        "SELECT COUNT(*) FROM redemption_redemptioncode",
    ),
    "I6": (
        """SELECT 'day ' || day || ' account ' || account_id FROM (
             SELECT {day} AS day, account_id, token_id, model, COUNT(*) AS calls, SUM({failed}) AS failures,
                    SUM(prompt_tokens) AS p, SUM(cached_tokens) AS k, SUM(completion_tokens) AS c, SUM(quota) AS q
             FROM billing_usagerecord GROUP BY 1, 2, 3, 4
             UNION ALL
             SELECT {stored_day}, account_id, token_id, model, -request_count, -failure_count,
                    -prompt_tokens, -cached_tokens, -completion_tokens, -quota FROM billing_usagedaily) both_sides
           GROUP BY day, account_id, token_id, model
           HAVING SUM(calls) <> 0 OR SUM(failures) <> 0 OR SUM(p) <> 0 OR SUM(k) <> 0 OR SUM(c) <> 0 OR SUM(q) <> 0
           UNION ALL
           SELECT 'hour ' || hour || ' channel ' || channel_id FROM (
             SELECT {hour} AS hour, channel_id, model, COUNT(*) AS calls, SUM({failed}) AS failures,
                    SUM(prompt_tokens) AS p, SUM(cached_tokens) AS k, SUM(completion_tokens) AS c, SUM(quota) AS q,
                    SUM(upstream_cost) AS u, SUM(duration_ms) AS d
             FROM billing_usagerecord GROUP BY 1, 2, 3
             UNION ALL
             SELECT {stored_hour}, channel_id, model, -request_count, -failure_count, -prompt_tokens,
                    -cached_tokens, -completion_tokens, -quota, -upstream_cost, -duration_ms
             FROM billing_usagehourly) both_sides
           GROUP BY hour, channel_id, model
           HAVING SUM(calls) <> 0 OR SUM(failures) <> 0 OR SUM(p) <> 0 OR SUM(k) <> 0 OR SUM(c) <> 0 OR SUM(q) <> 0
               OR SUM(u) <> 0 OR SUM(d) <> 0""",
        "SELECT (SELECT COUNT(*) FROM billing_usagedaily) + (SELECT COUNT(*) FROM billing_usagehourly)",
    ),
    "I7": (
        """SELECT 'account ' || a.user_id FROM billing_quotaaccount a
           LEFT JOIN (SELECT account_id, SUM(quota) AS q, COUNT(*) AS n FROM billing_usagerecord GROUP BY account_id) u
             ON u.account_id = a.user_id
           WHERE a.used_quota <> COALESCE(u.q, 0) OR a.request_count <> COALESCE(u.n, 0)
           UNION ALL
           SELECT 'token ' || t.token_id FROM billing_tokenquota t
           LEFT JOIN (SELECT token_id, SUM(quota) AS q, COUNT(*) AS n FROM billing_usagerecord GROUP BY token_id) u
             ON u.token_id = t.token_id
           WHERE t.used_quota <> COALESCE(u.q, 0) OR t.request_count <> COALESCE(u.n, 0)
           UNION ALL
           SELECT 'channel ' || c.channel_id FROM billing_channeltotals c
           LEFT JOIN (SELECT channel_id, SUM(quota) AS q, SUM(upstream_cost) AS k, COUNT(*) AS n
                      FROM billing_usagerecord GROUP BY channel_id) u
             ON u.channel_id = c.channel_id
           WHERE c.used_quota <> COALESCE(u.q, 0) OR c.request_count <> COALESCE(u.n, 0)
              OR c.upstream_cost <> COALESCE(u.k, 0)""",
        """SELECT (SELECT COUNT(*) FROM billing_quotaaccount) + (SELECT COUNT(*) FROM billing_tokenquota)
                + (SELECT COUNT(*) FROM billing_channeltotals)""",
    ),
}

_DIALECT = {
    "postgresql": {
        "day": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        "stored_day": "to_char(day, 'YYYY-MM-DD')",
        "hour": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')",
        "stored_hour": "to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')",
    },
    "sqlite": {
        "day": "substr(created_at, 1, 10)",
        "stored_day": "substr(day, 1, 10)",
        "hour": "substr(created_at, 1, 13)",
        "stored_hour": "substr(hour, 1, 13)",
    },
}
_FAILED = "CASE WHEN status = 'failed' THEN 1 ELSE 0 END"


def audit_ledger(*, on_check: Callable[[Check], None] = lambda _check: None) -> list[Check]:
    """Check all invariants on one consistent view of the database, while it goes on working.

    :param on_check: called after each invariant, for progress
    """
    checks = []
    with transaction.atomic(durable=True):
        _take_one_view()
        for check in _run_checks():
            on_check(check)
            checks.append(check)
    return checks


def record_audit(*, started_at: datetime, finished_at: datetime, checks: list[Check]) -> AuditRun:
    """Keep the result for the operators' dashboard."""
    return AuditRun.objects.create(
        started_at=started_at,
        finished_at=finished_at,
        is_clean=not any(check.broken for check in checks),
        checks=[asdict(check) for check in checks],
    )


def last_result() -> AuditRun | None:
    """The newest recorded audit, if there is one."""
    return AuditRun.objects.order_by("-pk").first()


def _take_one_view() -> None:
    """PostgreSQL: one snapshot for all queries. SQLite: the transaction is one."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _run_checks() -> Iterator[Check]:
    names = {**_DIALECT[connection.vendor], "failed": _FAILED}
    with connection.cursor() as cursor:
        for code, (offenders, rows) in _QUERIES.items():
            cursor.execute(rows)
            [checked] = cursor.fetchone()
            cursor.execute(offenders.format(**names) if code == "I6" else offenders)
            ids: list[str] = []
            broken = 0
            while batch := cursor.fetchmany(1000):
                broken += len(batch)
                ids.extend(row[0] for row in batch[: max(0, _MAX_IDS - len(ids))])
            yield Check(code=code, checked=checked, broken=broken, broken_ids=tuple(ids))
