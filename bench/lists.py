"""``python -m bench.lists``: does a list's last page cost what its first costs? PostgreSQL, 1,000,000 rows."""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from bench import machine
from tests.support import postgres, valkey

MUST = 1.5
REPEATS = 30

_ROWS = """
INSERT INTO accounts_user (username, password, email, display_name, role, status, "group", language, created_at)
  SELECT 'person' || n, '!', '', '', 'user', 'enabled', 'group' || n %% 7, '', now()
  FROM generate_series(1, %(rows)s) n;
INSERT INTO billing_quotaaccount (user_id, balance, held, used_quota, request_count)
  SELECT id, 0, 0, 0, 0 FROM accounts_user WHERE id NOT IN (SELECT user_id FROM billing_quotaaccount);
INSERT INTO billing_ledgerentry (account_id, kind, amount, balance_after, memo, reference, created_at)
  SELECT CASE WHEN n %% 2 = 0 THEN %(user)s ELSE %(first)s + n %% 1000 END,
         CASE WHEN n %% 10 = 0 THEN 'top_up' ELSE 'usage' END, 1, n, '', '', now() - (%(rows)s - n) * interval '1 s'
  FROM generate_series(1, %(rows)s) n;
INSERT INTO accounts_token (user_id, name, key_hash, key_prefix, status, allowed_models, allowed_networks, created_at)
  SELECT %(user)s, 'token' || n, md5('token' || n), 'sk-…', 'enabled', '[]', '[]', now()
  FROM generate_series(1, %(rows)s) n;
INSERT INTO billing_tokenquota (token_id, used_quota, held, request_count)
  SELECT id, 0, 0, 0 FROM accounts_token;
INSERT INTO accounts_accesstoken (user_id, name, key_hash, key_prefix, scopes, created_at)
  SELECT %(user)s, 'token' || n, md5('access' || n), 'oa-…', '["read"]', now()
  FROM generate_series(1, %(rows)s) n;
INSERT INTO billing_usagerecord (request_id, account_id, username, token_id, token_name, channel_id, channel_name,
    model, served_model, prompt_tokens, cached_tokens, completion_tokens, quota, estimate, upstream_cost,
    price_version, group_multiplier, usage_source, status, http_status, error_code, is_stream, first_byte_ms,
    duration_ms, created_at)
  SELECT 'call' || n, CASE WHEN n %% 2 = 0 THEN %(user)s ELSE %(first)s + n %% 1000 END, 'x', 1 + n %% 50, 'x', 1 + n %% 5, 'x',
         'model' || n %% 9, 'x', 1, 0, 1, 0, 1, 0, '', 1, 'none', 'ok', 200, '', false, 1, 1,
         now() - (%(rows)s - n) * interval '1 s'
  FROM generate_series(1, %(rows)s) n;
INSERT INTO redemption_codebatch (name, note, tag, quota, count, uses_per_code, uses_per_user, is_once_per_user,
    "group", status, failure, disabled_count, disabled_uses, created_by_id, created_at, ready_at,
    first_code_id, last_code_id)
  SELECT 'batch', '', '', 1, %(rows)s, 1, 1, false, '', 'ready', '', %(rows)s / 4, %(rows)s / 4, %(user)s, now(), now(),
         1, 9223372036854775807;
INSERT INTO redemption_redemptioncode (batch_id, digest, hint, status)
  SELECT (SELECT max(id) FROM redemption_codebatch), sha256(convert_to('code' || n, 'UTF8')), 'ABCD',
         CASE WHEN n %% 4 = 0 THEN 'disabled' ELSE 'enabled' END
  FROM generate_series(1, %(rows)s) n;
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A list, and the table whose ids its pages go by."""

    path: str
    table: str


CASES = [
    Case("/users?", "accounts_user"),
    Case("/users?group=group3", "accounts_user"),
    Case("/ledger-entries?", "billing_ledgerentry"),
    Case("/ledger-entries?kind=top_up", "billing_ledgerentry"),
    Case("/ledger-entries?user={user}", "billing_ledgerentry"),
    Case("/tokens?", "accounts_token"),
    Case("/access-tokens?", "accounts_accesstoken"),
    Case("/usage?", "billing_usagerecord"),
    Case("/usage?user={user}", "billing_usagerecord"),
    Case("/code-batches/{batch}/codes?", "redemption_redemptioncode"),
]


@contextmanager
def filled_database(rows: int) -> Iterator[dict[str, int]]:
    """A database of its own with so many rows in every list; sets the process's environment."""
    server = postgres.start(postgres.DURABLE)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE lists")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="oneapi_admin.settings",
            DATABASE_URL=f"{server}/lists",
            DATA_DIR=folder,
            SECRET_KEY="a key for benchmarks only, long enough to be taken",
            ALLOWED_HOSTS="testserver",
            REDIS_URL=valkey.start(),
            API_REQUESTS_PER_TOKEN="1000000000",
            API_REQUESTS_PER_ADDRESS="1000000000",
        )
        import django

        django.setup()
        from django.core.management import call_command
        from django.utils import timezone

        from billing.services.accounts import create_user

        call_command("migrate", verbosity=0)
        root = create_user(actor=None, username="root", password="x", role="root", at=timezone.now())
        with psycopg.connect(f"{server}/lists", autocommit=True) as connection:
            names = {"rows": rows, "user": root.pk, "first": root.pk + 1}
            for statement in _ROWS.strip().split(";\n"):
                connection.execute(psycopg.ClientCursor(connection).mogrify(statement, names))
            connection.execute("VACUUM ANALYZE")
            [batch] = connection.execute("SELECT max(id) FROM redemption_codebatch").fetchone() or (0,)
        yield {"user": root.pk, "batch": batch}


def measure(ask: Callable[[str], Any], first: str, last: str) -> tuple[float, float]:
    """The medians of the first page and of the last, asked in turns; in milliseconds."""
    times: dict[str, list[float]] = {first: [], last: []}
    for _ in range(REPEATS):
        for path, taken in times.items():
            before = time.perf_counter()
            ask(path)
            taken.append(1000 * (time.perf_counter() - before))
    return statistics.median(times[first]), statistics.median(times[last])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    is_met = True
    with filled_database(rows) as ids:
        from django.db import connection
        from django.test import Client
        from django.test.utils import CaptureQueriesContext

        from accounts.models import User
        from accounts.services.access_tokens import create_access_token

        _token, key = create_access_token(
            actor=None, user=User.objects.get(pk=ids["user"]), name="bench", scopes=["admin"]
        )
        client = Client(headers={"Authorization": f"Bearer {key}"})

        def ask(path: str) -> Any:
            response = client.get(f"/api/v1{path}")
            if response.status_code != 200:
                raise RuntimeError(f"{path}: {response.status_code} {response.content!r}")
            return json.loads(response.content)

        print(f"# Lists of {rows:,} rows on PostgreSQL, pages of 50; {machine.describe()}\n")
        print(
            "| list | first page, ms | last pages, ms | ratio | queries | must |\n|---|---|---|---|---|---|"
        )
        for case in CASES:
            path = case.path.format(**ids)
            with connection.cursor() as cursor:
                cursor.execute(f"SELECT min(id) FROM {case.table}")
                lowest = cursor.fetchone()[0]
            last = f"{path}&cursor={lowest + rows // 100}"
            ask(path)  # notes, once a minute, that the access token is used
            counts = []
            for page in (path, last):
                with CaptureQueriesContext(connection) as queries:
                    if not ask(page)["items"]:
                        raise RuntimeError(f"{page} is empty")
                counts.append(len(queries))
            first_ms, last_ms = measure(ask, path, last)
            ratio = last_ms / first_ms
            is_met = is_met and ratio <= MUST and len(set(counts)) == 1
            verdict = "met" if ratio <= MUST and len(set(counts)) == 1 else "MISSED"
            print(
                f"| {path} | {first_ms:.1f} | {last_ms:.1f} | {ratio:.2f} | {counts[0]}, {counts[1]} |"
                f" ≤ {MUST}: {verdict} |",
                flush=True,
            )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
