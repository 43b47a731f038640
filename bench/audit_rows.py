"""Millions of calls and entries that add up, made by the database itself."""

from django.db import connection

ACCOUNTS, CHANNELS = 997, 10  # a prime number of accounts, so that each has entries of every kind
_SERIES = {
    "postgresql": "SELECT n FROM generate_series({first}, {last}) n",
    "sqlite": (
        "WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"
        " SELECT n FROM s"
    ),
}
_DIALECT = {
    "postgresql": {
        "at": "timestamptz '2026-01-01 00:00:00+00' + {seconds} * interval '1 s'",
        "day": "(created_at AT TIME ZONE 'UTC')::date",
        "hour": "date_trunc('hour', created_at, 'UTC')",
        "digest": "sha256(convert_to('code' || id, 'UTF8'))",
    },
    "sqlite": {
        "at": "datetime('2026-01-01 00:00:00', '+' || ({seconds}) || ' seconds')",
        "day": "substr(created_at, 1, 10)",
        "hour": "substr(created_at, 1, 13) || ':00:00'",
        "digest": "CAST('code' || id AS BLOB)",
    },
}
_CALLS_A_DAY = 111_111  # 10 million in 90 days; fewer calls are fewer days, so that times can be extrapolated

# Each tenth entry is a credit, half of those a redemption; the others charge some ten calls each. A call's
# entry follows from its number, the account from its entry; each hundredth call failed and cost nothing.
_ROWS = """
INSERT INTO accounts_user (username, password, email, display_name, role, status, "group", language,
    created_at)
  SELECT 'person' || n, '!', '', '', 'user', 'enabled', 'default', '', CURRENT_TIMESTAMP FROM ({accounts}) a;
INSERT INTO billing_quotaaccount (user_id, balance, held, used_quota, request_count)
  SELECT id, 0, 0, 0, 0 FROM accounts_user;
INSERT INTO accounts_token (user_id, name, key_hash, key_prefix, status, allowed_models, allowed_networks,
    created_at)
  SELECT u.id, 'token', 'hash' || u.id || '-' || k.n, 'sk-', 'enabled', '[]', '[]', CURRENT_TIMESTAMP
  FROM accounts_user u, ({tokens}) k;
INSERT INTO billing_tokenquota (token_id, used_quota, held, request_count)
  SELECT id, 0, 0, 0 FROM accounts_token;
INSERT INTO billing_usagerecord (request_id, account_id, username, token_id, token_name, channel_id,
    channel_name, model, served_model, prompt_tokens, cached_tokens, completion_tokens, quota, estimate,
    upstream_cost, price_version, group_multiplier, usage_source, status, http_status, error_code, is_stream,
    first_byte_ms, duration_ms, ledger_entry_id, created_at)
  SELECT 'call' || n, {first_account} + e * 7919 % {account_count}, 'person',
         {first_token} + e * 7919 % {account_count} * 2 + n % 2, 'token',
         {first_channel} + n % {channel_count}, 'channel', 'model-' || (e % 2 + n % 3), 'model',
         n % 1000, n % 7, n % 500, CASE WHEN n % 100 = 0 THEN 0 ELSE n % 97 + 1 END, 98,
         CASE WHEN n % 100 = 0 THEN 0 ELSE (n % 97 + 1) * 2000 END, 'operator:1', 1, 'upstream',
         CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'ok' END, 200, '', false, 1, n % 3000,
         CASE WHEN n % 100 = 0 THEN NULL ELSE e END, {at}
  FROM (SELECT n, u + (u - 1) / 9 AS e FROM (
          SELECT n, 1 + (n - 1) * {usage_entries} / {rows} AS u FROM ({calls}) c) numbered) call;
INSERT INTO billing_ledgerentry (id, account_id, kind, amount, balance_after, memo, reference, created_at)
  SELECT e, account_id, kind, amount, SUM(amount) OVER (PARTITION BY account_id ORDER BY e), '',
         CASE WHEN kind = 'redemption' THEN 'code:' || (e / 20) ELSE '' END, CURRENT_TIMESTAMP
  FROM (SELECT n AS e, {first_account} + n * 7919 % {account_count} AS account_id,
               CASE WHEN n % 20 = 0 THEN 'redemption' ELSE 'top_up' END AS kind, 5000 AS amount
        FROM ({entries}) s WHERE n % 10 = 0
        UNION ALL
        SELECT ledger_entry_id, MIN(account_id), 'usage', -SUM(quota) FROM billing_usagerecord
        WHERE ledger_entry_id IS NOT NULL GROUP BY ledger_entry_id) entry ORDER BY e;
INSERT INTO redemption_codebatch (name, note, tag, quota, count, uses_per_code, uses_per_user,
    is_once_per_user, "group", status, failure, disabled_count, disabled_uses, created_by_id, created_at,
    ready_at)
  SELECT 'batch', '', '', 5000, (SELECT COUNT(*) FROM billing_ledgerentry WHERE kind = 'redemption'), 1, 1,
         false, '', 'ready', '', 0, 0, {first_account}, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP;
INSERT INTO redemption_redemptioncode (id, batch_id, digest, hint, status, used_count, redeemed_by_id,
    redeemed_at)
  SELECT id / 20, (SELECT MAX(id) FROM redemption_codebatch), {digest}, 'ABCD', 'used', 1,
         account_id, CURRENT_TIMESTAMP FROM billing_ledgerentry WHERE kind = 'redemption';
INSERT INTO redemption_redemption (code_id, number, batch_id, user_id, entry_id, created_at)
  SELECT id / 20, 1, (SELECT MAX(id) FROM redemption_codebatch), account_id, id, CURRENT_TIMESTAMP
  FROM billing_ledgerentry WHERE kind = 'redemption' ORDER BY id;
INSERT INTO redemption_batchday (batch_id, day, shard, redeemed_count, used_count)
  SELECT batch_id, CURRENT_DATE, 0, COUNT(*), COUNT(*) FROM redemption_redemption GROUP BY batch_id;
INSERT INTO billing_usagedaily (day, account_id, token_id, model, request_count, failure_count, prompt_tokens,
    cached_tokens, completion_tokens, quota)
  SELECT {day}, account_id, token_id, model, COUNT(*), {failures}, SUM(prompt_tokens), SUM(cached_tokens),
         SUM(completion_tokens), SUM(quota) FROM billing_usagerecord GROUP BY 1, 2, 3, 4;
INSERT INTO billing_usagehourly (hour, channel_id, model, request_count, failure_count, prompt_tokens,
    cached_tokens, completion_tokens, quota, upstream_cost, duration_ms)
  SELECT {hour}, channel_id, model, COUNT(*), {failures}, SUM(prompt_tokens), SUM(cached_tokens),
         SUM(completion_tokens), SUM(quota), SUM(upstream_cost), SUM(duration_ms)
  FROM billing_usagerecord GROUP BY 1, 2, 3;
UPDATE billing_quotaaccount SET balance = sums.amount FROM (
  SELECT account_id AS pk, SUM(amount) AS amount FROM billing_ledgerentry GROUP BY 1) sums
  WHERE sums.pk = user_id;
UPDATE billing_quotaaccount SET used_quota = sums.quota, request_count = sums.calls FROM (
  SELECT account_id AS pk, SUM(quota) AS quota, SUM(request_count) AS calls
  FROM billing_usagedaily GROUP BY 1) sums
  WHERE sums.pk = user_id;
UPDATE billing_tokenquota SET used_quota = sums.quota, request_count = sums.calls FROM (
  SELECT token_id AS pk, SUM(quota) AS quota, SUM(request_count) AS calls
  FROM billing_usagedaily GROUP BY 1) sums
  WHERE sums.pk = token_id;
UPDATE billing_channeltotals SET used_quota = sums.quota, request_count = sums.calls,
    upstream_cost = sums.cost FROM (
  SELECT channel_id AS pk, SUM(quota) AS quota, SUM(request_count) AS calls, SUM(upstream_cost) AS cost
  FROM billing_usagehourly GROUP BY 1) sums
  WHERE sums.pk = channel_id
"""

_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes i WHERE tablename IN ('billing_usagerecord', 'billing_ledgerentry')
AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conname = i.indexname)
AND indexdef NOT LIKE 'CREATE UNIQUE%'"""


def fill(rows: int) -> None:
    """Fill an empty database with ``rows`` calls and a tenth as many entries.

    Of each statement only the values differ that depend on the statements before it.
    """
    from billing.services.channels import ChannelSettings, create_channel

    for number in range(CHANNELS):
        settings = ChannelSettings(name=f"channel{number}", base_url="http://127.0.0.1:9", models=["model"])
        create_channel(actor=None, settings=settings, key="sk-upstream-secret-0001")
    is_postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:

        def lowest(table: str) -> int:
            cursor.execute(f"SELECT COALESCE(MIN(id), 1) FROM {table}")
            return int(cursor.fetchone()[0])

        indexes: list[tuple[str, str]] = []
        if is_postgresql:  # made again at once below, which is faster than row by row
            cursor.execute("SET synchronous_commit = off")
            cursor.execute(_INDEXES)
            indexes = cursor.fetchall()
        for name, _definition in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        for statement in _ROWS.strip().split(";\n"):
            firsts = [lowest(name) for name in ("accounts_user", "accounts_token", "billing_channel")]
            cursor.execute(statement.format(**_names(connection.vendor, rows, *firsts)))
        for _name, definition in indexes:
            cursor.execute(definition)
        if is_postgresql:
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('billing_ledgerentry', 'id'),"
                " (SELECT MAX(id) FROM billing_ledgerentry))"
            )
            cursor.execute("VACUUM ANALYZE")


def _names(vendor: str, rows: int, account: int, token: int, channel: int) -> dict[str, object]:
    series, dialect = _SERIES[vendor], _DIALECT[vendor]
    one = "CAST(1 AS bigint)"  # times what numbers are multiplied by, it would not fit into an integer
    return {
        "rows": rows,
        "accounts": series.format(first=1, last=ACCOUNTS),
        "tokens": series.format(first=1, last=2),
        "calls": series.format(first=one, last=rows),
        "entries": series.format(first=one, last=rows // 10),
        "account_count": ACCOUNTS,
        "channel_count": CHANNELS,
        "usage_entries": rows // 10 * 9 // 10,
        "first_account": account,
        "first_token": token,
        "first_channel": channel,
        "at": dialect["at"].format(seconds=f"n * 86400 / {_CALLS_A_DAY}"),
        "day": dialect["day"],
        "hour": dialect["hour"],
        "failures": "SUM(CASE WHEN status = 'failed' THEN 1 ELSE 0 END)",
    }
