"""What proves the invariants, once calls and entries are summed, as SQL that both databases understand."""

from collections.abc import Sequence

from billing.services.audit.checks import Findings
from billing.services.audit.session import Position, Session
from billing.services.audit.sums import ACCOUNTS, DAYS, HOURS, Ids, SumsTable, proven

_HOUR = {
    "postgresql": "to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')",
    "sqlite": "substr(hour, 1, 13)",
}
_STORED_KEY = {
    "postgresql": {"day": "day", "hour": "hour"},
    "sqlite": {"day": "substr(day, 1, 10)", "hour": "substr(hour, 1, 13) || ':00:00'"},
}

_HOLDS = """
SELECT 'account ' || a.user_id FROM billing_quotaaccount a
LEFT JOIN (SELECT account_id, SUM(amount) AS total FROM billing_hold GROUP BY account_id) h
  ON h.account_id = a.user_id
WHERE a.held <> COALESCE(h.total, 0)
UNION ALL
SELECT 'token ' || t.token_id FROM billing_tokenquota t
LEFT JOIN (SELECT token_id, SUM(amount) AS total FROM billing_hold GROUP BY token_id) h
  ON h.token_id = t.token_id
WHERE t.held <> COALESCE(h.total, 0)
UNION ALL
SELECT 'hold ' || h.id FROM billing_hold h
LEFT JOIN billing_quotaaccount a ON a.user_id = h.account_id WHERE a.user_id IS NULL"""

_CODES = """
SELECT 'code ' || c.id FROM redemption_redemptioncode c
JOIN redemption_codebatch b ON b.id = c.batch_id
LEFT JOIN (SELECT code_id, COUNT(*) AS uses, MAX(number) AS last FROM redemption_redemption
           GROUP BY code_id) r ON r.code_id = c.id
WHERE (c.used_count > 0 OR c.status = 'used')
  AND (r.uses IS NULL OR r.uses <> c.used_count OR r.last <> c.used_count
       OR c.used_count > b.uses_per_code OR (c.status = 'used') <> (c.used_count = b.uses_per_code))
UNION ALL
SELECT 'redemption ' || r.id FROM redemption_redemption r
LEFT JOIN redemption_redemptioncode c ON c.id = r.code_id
LEFT JOIN redemption_codebatch b ON b.id = c.batch_id
LEFT JOIN billing_ledgerentry e ON e.id = r.entry_id
WHERE b.id IS NULL OR b.id <> r.batch_id OR c.used_count < r.number
   OR e.id IS NULL OR e.kind <> 'redemption' OR e.reference <> 'code:' || c.id
   OR e.account_id <> r.user_id OR e.amount <> b.quota
UNION ALL
SELECT 'entry ' || e.id FROM billing_ledgerentry e
LEFT JOIN redemption_redemption r ON r.entry_id = e.id
WHERE e.kind = 'redemption' AND r.id IS NULL"""

_BATCHES = """
SELECT 'batch ' || b.id FROM redemption_codebatch b
LEFT JOIN (SELECT batch_id, SUM(redeemed_count) AS redeemed, SUM(used_count) AS used
           FROM redemption_batchday GROUP BY batch_id) d ON d.batch_id = b.id
LEFT JOIN (SELECT batch_id, COUNT(*) AS made, SUM(CASE WHEN status = 'used' THEN 1 ELSE 0 END) AS used,
                  SUM(CASE WHEN status = 'disabled' THEN 1 ELSE 0 END) AS disabled,
                  SUM(CASE WHEN status = 'disabled' THEN used_count ELSE 0 END) AS disabled_used,
                  SUM(used_count) AS redeemed
           FROM redemption_redemptioncode GROUP BY batch_id) c ON c.batch_id = b.id
WHERE COALESCE(c.made, 0) <> CASE WHEN b.ready_at IS NULL THEN 0 ELSE b.count END
   OR COALESCE(d.redeemed, 0) <> COALESCE(c.redeemed, 0)
   OR COALESCE(d.used, 0) <> COALESCE(c.used, 0)
   OR b.disabled_count <> COALESCE(c.disabled, 0)
   OR b.disabled_uses <> COALESCE(c.disabled * b.uses_per_code - c.disabled_used, 0)
UNION ALL
SELECT 'code ' || c.id FROM redemption_redemptioncode c
LEFT JOIN redemption_codebatch b ON b.id = c.batch_id WHERE b.id IS NULL"""


def _unequal_entries(condition: str) -> str:
    """A query for the entries that their calls do not make, or the first call of one that is not there."""
    return f"""
        SELECT CASE WHEN e.id IS NULL THEN 'call ' || u.first ELSE 'entry ' || e.id END FROM (
          SELECT ledger_entry_id, MIN(id) AS first, SUM(quota) AS total,
                 MIN(account_id) AS lowest, MAX(account_id) AS highest
          FROM billing_usagerecord WHERE {condition} GROUP BY ledger_entry_id) u
        LEFT JOIN billing_ledgerentry e ON e.id = u.ledger_entry_id
        WHERE e.id IS NULL OR e.kind <> 'usage' OR -e.amount <> u.total
           OR u.lowest <> e.account_id OR u.highest <> e.account_id"""


def check_usage_entries(session: Session, entries: Ids, findings: Findings) -> None:
    """I4 for a range of entries: their calls are written with them, so that all can be seen."""
    findings.broken("I4", session.column(_unequal_entries(entries.condition("ledger_entry_id"))))
    without_calls = f"""
        SELECT 'entry ' || e.id FROM billing_ledgerentry e
        WHERE e.kind = 'usage' AND {entries.condition("e.id")}
          AND NOT EXISTS (SELECT 1 FROM billing_usagerecord u WHERE u.ledger_entry_id = e.id)"""
    findings.broken("I4", session.column(without_calls))


def check_late_calls(session: Session, start: Position, findings: Findings) -> None:
    """I4 for what calls after ``start`` say of entries up to it."""
    condition = f"ledger_entry_id <= {start.entry_id}"
    if start.call_id:  # a call may have been given an entry that was read before
        condition = (
            f"ledger_entry_id IN (SELECT ledger_entry_id FROM billing_usagerecord"
            f" WHERE id > {start.call_id} AND {condition})"
        )
    findings.broken("I4", session.column(_unequal_entries(condition)))


def check_balances(session: Session, lineage: Sequence[int], findings: Findings) -> None:
    """I1."""
    unequal = f"""
        SELECT 'account ' || a.user_id FROM billing_quotaaccount a
        LEFT JOIN (SELECT account_id, SUM(amount) AS total
                   FROM ({proven(ACCOUNTS, lineage)}) p GROUP BY account_id) e ON e.account_id = a.user_id
        WHERE a.balance <> COALESCE(e.total, 0)"""
    _compare(session, "I1", "billing_quotaaccount", unequal, findings)


def check_holds(session: Session, _lineage: Sequence[int], findings: Findings) -> None:
    """I3, in whole: holds come and go."""
    _compare(session, "I3", "billing_hold", _HOLDS, findings)


def check_codes(session: Session, _lineage: Sequence[int], findings: Findings) -> None:
    """I5, in whole: codes change, and each has an entry for every use."""
    _compare(session, "I5", "redemption_redemptioncode", _CODES, findings)
    findings.broken("I5", session.column(_BATCHES))


def check_rollups(session: Session, lineage: Sequence[int], findings: Findings) -> None:
    """I6."""
    days = f"SELECT 'day ' || day || ' account ' || account_id FROM {_unequal(session, DAYS, lineage)}"
    _compare(session, "I6", DAYS.present, days, findings)
    hour = _HOUR[session.vendor]
    hours = f"SELECT 'hour ' || {hour} || ' channel ' || channel_id FROM {_unequal(session, HOURS, lineage)}"
    _compare(session, "I6", HOURS.present, hours, findings)


def _unequal(session: Session, table: SumsTable, lineage: Sequence[int]) -> str:
    """The part of a query after FROM: the keys whose sums are not those of the calls."""
    span, *others = table.keys
    stored_keys = ", ".join((_STORED_KEY[session.vendor][span], *others))
    negative = ", ".join(f"-{name}" for name in table.sums)
    differs = " OR ".join(f"SUM({name}) <> 0" for name in table.sums)
    return f"""(
        {proven(table, lineage)} UNION ALL SELECT {stored_keys}, {negative} FROM {table.present}) both_sides
        GROUP BY {", ".join(table.keys)} HAVING {differs}"""


def check_counters(session: Session, lineage: Sequence[int], findings: Findings) -> None:
    """I7."""
    days, hours = proven(DAYS, lineage), proven(HOURS, lineage)
    for owner, table, key in (
        ("account", "billing_quotaaccount", "user_id"),
        ("token", "billing_tokenquota", "token_id"),
    ):
        unequal = f"""
            SELECT '{owner} ' || t.{key} FROM {table} t
            LEFT JOIN (SELECT {owner}_id, SUM(quota) AS q, SUM(request_count) AS n
                       FROM ({days}) d GROUP BY {owner}_id) u ON u.{owner}_id = t.{key}
            WHERE t.used_quota <> COALESCE(u.q, 0) OR t.request_count <> COALESCE(u.n, 0)"""
        _compare(session, "I7", table, unequal, findings)
    channels = f"""
        SELECT 'channel ' || c.channel_id FROM billing_channeltotals c
        LEFT JOIN (SELECT channel_id, SUM(quota) AS q, SUM(upstream_cost) AS k, SUM(request_count) AS n
                   FROM ({hours}) h GROUP BY channel_id) u ON u.channel_id = c.channel_id
        WHERE c.used_quota <> COALESCE(u.q, 0) OR c.request_count <> COALESCE(u.n, 0)
           OR c.upstream_cost <> COALESCE(u.k, 0)"""
    _compare(session, "I7", "billing_channeltotals", channels, findings)
    strangers = f"""
        SELECT DISTINCT account_id FROM ({days}) d
        WHERE NOT EXISTS (SELECT 1 FROM billing_quotaaccount a WHERE a.user_id = d.account_id)"""
    for account_id in session.column(strangers):
        calls = "SELECT 'call ' || id FROM billing_usagerecord WHERE account_id = %s"
        findings.broken("I7", session.column(calls, [account_id]))


def _compare(session: Session, code: str, table: str, offenders: str, findings: Findings) -> None:
    findings.checked(code, session.row(f"SELECT COUNT(*) FROM {table}")[0])
    findings.broken(code, session.column(offenders))


PRESENT = (check_balances, check_holds, check_codes, check_rollups, check_counters)
"""The checks of what the product's tables say now, on one view of them."""
