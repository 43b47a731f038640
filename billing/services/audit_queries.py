"""The invariants as SQL that both databases understand; ``audit`` runs them."""

# Each query returns the offenders' ids; the second the number of rows looked at.
QUERIES: dict[str, tuple[str, str]] = {
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
           WHERE t.held <> COALESCE(h.total, 0)
           UNION ALL
           SELECT 'hold ' || h.id FROM billing_hold h
           LEFT JOIN billing_quotaaccount a ON a.user_id = h.account_id WHERE a.user_id IS NULL""",
        "SELECT COUNT(*) FROM billing_hold",
    ),
    "I4": (
        """SELECT 'entry ' || e.id FROM billing_ledgerentry e
           LEFT JOIN (SELECT ledger_entry_id, SUM(quota) AS total, MIN(account_id) AS lowest, MAX(account_id) AS highest
                      FROM billing_usagerecord WHERE ledger_entry_id IS NOT NULL GROUP BY ledger_entry_id) u
             ON u.ledger_entry_id = e.id
           WHERE (e.kind = 'usage' AND (-e.amount <> COALESCE(u.total, 0) OR u.lowest <> e.account_id
                                        OR u.highest <> e.account_id))
              OR (e.kind <> 'usage' AND u.total IS NOT NULL)
           UNION ALL
           SELECT 'call ' || u.id FROM billing_usagerecord u
           LEFT JOIN billing_ledgerentry e ON e.id = u.ledger_entry_id
           WHERE u.ledger_entry_id IS NOT NULL AND e.id IS NULL""",
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
           SELECT 'call ' || u.id FROM billing_usagerecord u
           LEFT JOIN billing_quotaaccount a ON a.user_id = u.account_id WHERE a.user_id IS NULL
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

DIALECT = {
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
FAILED = "CASE WHEN status = 'failed' THEN 1 ELSE 0 END"
