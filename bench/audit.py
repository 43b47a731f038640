"""``python -m bench.audit``: what proving 10,000,000 calls takes, beside reading them all once."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psycopg
from django.db import connection as database

from bench import machine
from bench.audit_rows import fill
from tests.support import postgres, valkey
from tests.support.processes import ROOT

MUST_MB = 300
NEW_CALLS = 10_000
_BATCH = 250
_POLL_SECONDS = 0.05

_SCANS = (
    """SELECT COUNT(*), SUM(id), SUM(account_id), SUM(token_id), SUM(channel_id), MAX(model), MAX(status),
              SUM(prompt_tokens), SUM(cached_tokens), SUM(completion_tokens), SUM(quota), SUM(upstream_cost),
              SUM(duration_ms), SUM(ledger_entry_id), MAX(created_at) FROM billing_usagerecord""",
    """SELECT COUNT(*), SUM(id), SUM(account_id), SUM(amount), SUM(balance_after), MAX(kind), MAX(reference)
       FROM billing_ledgerentry""",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One ``manage.py audit_ledger``, its start included."""

    seconds: float
    own_mb: float
    server_mb: float
    """Of the server's process that works for it, without the buffers that it shares with all."""
    is_clean: bool
    output: str

    @property
    def is_met(self) -> bool:
        return self.is_clean and self.own_mb + self.server_mb <= MUST_MB


@contextmanager
def fresh_database(*, is_sqlite: bool) -> Iterator[None]:
    """An empty database of its own; sets the process's environment, which its children have too."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="oneapi_admin.settings",
            DATA_DIR=folder,
            SECRET_KEY="a key for benchmarks only, long enough to be taken",
            REDIS_URL=valkey.start(),
        )
        os.environ.pop("DATABASE_URL", None)
        if not is_sqlite:
            server = postgres.start(postgres.DURABLE)
            with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE audit")
            os.environ["DATABASE_URL"] = f"{server}/audit"
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield
        database.close()


def audit(*options: str) -> Run:
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "audit_ledger", *options],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        pid, server_mb = 0, 0.0
        while not pid:
            time.sleep(_POLL_SECONDS)
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            server_mb = max(server_mb, _server_mb())
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        output.seek(0)
        return Run(seconds, used.ru_maxrss / 1024, server_mb, process.returncode == 0, output.read())


def _server_mb() -> float:
    """What PostgreSQL's largest process has for itself now, that of this program left out; needs Linux."""
    if database.vendor != "postgresql":
        return 0
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return max((_private_mb(pid) for (pid,) in cursor.fetchall()), default=0)


def _private_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it is gone, or this is not Linux
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def scan(*, is_parallel: bool = False) -> float:
    """Seconds to read every column that the audit reads of all calls and entries once, one by one."""
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            cursor.execute(f"SET max_parallel_workers_per_gather = {2 if is_parallel else 0}")
        began = time.perf_counter()
        for query in _SCANS:
            cursor.execute(query)
            cursor.fetchall()
        return time.perf_counter() - began


def make_calls(count: int) -> None:
    """So many calls more, charged by the product as it charges any others."""
    from django.utils import timezone

    from billing.models import Channel, TokenQuota
    from billing.services.calls import settle
    from billing.services.settle import Settlement

    made = TokenQuota.objects.select_related("token").order_by("pk")[:200]
    tokens = [(quota.token_id, quota.token.user_id) for quota in made]
    channels = list(Channel.objects.values_list("pk", "name"))
    at = timezone.now()
    for first in range(0, count, _BATCH):
        batch = []
        for number in range(first, first + _BATCH):
            token_id, account_id = tokens[number % len(tokens)]
            channel_id, channel = channels[number % len(channels)]
            batch.append(
                Settlement(
                    request_id=f"new{number}",
                    account_id=account_id,
                    username="person",
                    token_id=token_id,
                    token_name="token",
                    channel_id=channel_id,
                    channel_name=channel,
                    model=f"model-{number % 5}",
                    served_model="model",
                    prompt_tokens=10,
                    cached_tokens=0,
                    completion_tokens=5,
                    quota=20,
                    estimate=20,
                    upstream_cost=40_000,
                    price_version="",
                    group_multiplier=Decimal(1),
                    usage_source="upstream",
                    status="ok",
                    http_status=200,
                    error_code="",
                    is_stream=False,
                    first_byte_ms=1,
                    duration_ms=2,
                    created_at=at,
                )
            )
        settle(settlements=batch, at=at)


def measure(rows: int) -> bool:
    """Print the table; return whether everything added up in bounded memory."""
    scans = [scan(), scan()]
    fulls = [audit("--full")]
    scans.append(scan())
    fulls.append(audit("--full"))
    scans.append(scan())
    make_calls(NEW_CALLS)
    incremental = audit()
    scans.append(scan())
    parallel = statistics.median(scan(is_parallel=True) for _ in range(3))
    once = statistics.median(scans)
    print(
        "| what | seconds | ÷ one scan | peak MB | its server process, MB | must |\n|---|---|---|---|---|---|"
    )
    print(f"| one scan of {rows:,} calls and {rows // 10:,} entries | {once:.1f} | 1 | | | |")
    print(f"| the same, as the database plans it by itself | {parallel:.1f} | {parallel / once:.2f} | | | |")
    runs = [(f"full audit, {name}", run) for name, run in zip(("first", "second"), fulls, strict=True)]
    runs.append((f"incremental audit after {NEW_CALLS:,} calls", incremental))
    for name, run in runs:
        figures = f"{run.seconds:.1f} | {run.seconds / once:.2f} | {run.own_mb:.0f} | {run.server_mb:.0f}"
        verdict = "met" if run.is_met else "MISSED"
        print(f"| {name} | {figures} | adds up, together ≤ {MUST_MB} MB: {verdict} |")
    print(f"\n{incremental.output}", flush=True)
    if not all(run.is_clean for _name, run in runs):
        print("\n".join(run.output for _name, run in runs))
    return all(run.is_met for _name, run in runs)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="calls; a tenth as many entries")
    parser.add_argument("--sqlite", action="store_true")
    options = parser.parse_args()
    with fresh_database(is_sqlite=options.sqlite):
        began = time.perf_counter()
        fill(options.rows)
        name = "SQLite" if options.sqlite else "PostgreSQL"
        print(f"# The audit of {options.rows:,} calls on {name}; {machine.describe()}")
        print(f"Filled in {time.perf_counter() - began:.0f} s.\n", flush=True)
        return 0 if measure(options.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
