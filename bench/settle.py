"""``python -m bench.settle``: charging by group commit against one transaction a call, on PostgreSQL."""

import argparse
import asyncio
import itertools
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg

from bench import machine
from bench.report import table
from bench.stack import cpu_seconds, postmaster_of
from tests.support import postgres

ACCOUNTS = 10_000
COST = 10
SCRIPT = Path(__file__).with_name("settle.pgbench")
CLIENTS = 16
HOLDS = 250_000
"""More than any window settles."""

_NUMBERS = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {n})"
_ROWS = f"""
INSERT INTO accounts_user
    (id, username, password, email, display_name, role, status, "group", language, created_at)
  {_NUMBERS} SELECT n, 'caller' || n, '!', '', '', 'user', 'enabled', 'default', '', CURRENT_TIMESTAMP FROM s;
INSERT INTO accounts_token
    (id, user_id, name, key_hash, key_prefix, status, allowed_models, allowed_networks, created_at)
  {_NUMBERS} SELECT n, n, 'bench', 'hash' || n, 'sk-…', 'enabled', '[]', '[]', CURRENT_TIMESTAMP FROM s;
INSERT INTO billing_quotaaccount (user_id, balance, held, used_quota, request_count)
  {_NUMBERS} SELECT n, 1000000000000, 0, 0, 0 FROM s;
INSERT INTO billing_tokenquota (token_id, used_quota, held, request_count)
  {_NUMBERS} SELECT n, 0, 0, 0 FROM s;
INSERT INTO billing_ledgerentry (account_id, kind, amount, balance_after, memo, reference, created_at)
  {_NUMBERS} SELECT n, 'top_up', 1000000000000, 1000000000000, '', '', CURRENT_TIMESTAMP FROM s
"""
_HOLDS = f"""
INSERT INTO billing_hold (request_id, account_id, token_id, amount, created_at, expires_at)
  {_NUMBERS} SELECT '{{run}}' || n, 1 + CAST(n AS bigint) * 7919 % {{accounts}},
    1 + CAST(n AS bigint) * 7919 % {{accounts}}, {COST}, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP FROM s
"""
"""A call's account is 1 + number × 7919 modulo the number of accounts, in Python, SQL and pgbench alike."""
_COUNT_HELD = """
UPDATE billing_quotaaccount AS a SET held = h.held FROM
  (SELECT q.user_id, coalesce(sum(amount), 0) AS held FROM billing_quotaaccount q
   LEFT JOIN billing_hold h ON h.account_id = q.user_id GROUP BY 1) h WHERE h.user_id = a.user_id;
UPDATE billing_tokenquota AS t SET held = a.held FROM billing_quotaaccount a WHERE a.user_id = t.token_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A load: so many settlements wait at any time, over so many accounts."""

    name: str
    accounts: int
    waiting: int
    must_rate: float
    must_cpu: float


CASES = (
    Case(name="many accounts", accounts=ACCOUNTS, waiting=256, must_rate=3, must_cpu=5),
    Case(name="one hot account", accounts=1, waiting=64, must_rate=12, must_cpu=25),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How calls are committed: so many at most in a transaction, by so many writers at a time."""

    name: str
    size: int = 256
    writers: int = 1


OURS = Way(name="ours")
WAYS = (
    OURS,
    Way(name="batches of up to 16", size=16),
    Way(name="batches of up to 64", size=64),
    Way(name="batches of up to 1,024", size=1024),
    Way(name="two batches in flight", writers=2),
    Way(name="one transaction a call", size=1),
)


@dataclass(slots=True)
class Measured:
    """Calls a second, and PostgreSQL's processor time a call in microseconds, round by round."""

    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def add(self, calls: int, seconds: float, cpu: float) -> None:
        self.rates.append(calls / seconds)
        self.cpu_us.append(cpu / max(calls, 1) * 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.settle", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--tune", action="store_true", help="compare sizes and numbers of batches instead")
    parser.add_argument("--sqlite", action="store_true", help="with --tune: on SQLite")
    options = parser.parse_args()
    with _database(is_sqlite=options.sqlite and options.tune) as server:
        fsync = machine.fsync_ms(1.0)
        name = f"{'SQLite' if not server else 'PostgreSQL'}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        if options.tune:
            title, found = f"# Batches on {name}", _tune(options)
        else:
            title, found = f"# Settling calls on {name}", _compare(server, options)
        print(f"{title}\n\nMachine     {machine.describe()}")
        print(f"Rounds      {options.rounds} of {options.seconds:g} s, in turns; medians")
        print(f"fdatasync   {machine.describe_fsync(fsync)}\n{found}")
        return _print_soundness()


def _compare(server: str, options: argparse.Namespace) -> str:
    """Ours against pgbench; returns the table."""
    postmaster = postmaster_of(server)
    runs = (f"run{number}-" for number in itertools.count())
    measured = {(case.name, way): Measured() for case in CASES for way in ("ours", "pgbench")}
    for _ in range(options.rounds):
        for case in CASES:
            for way in ("ours", "pgbench"):
                run = next(runs)
                _prepare(case, run)
                before = cpu_seconds(postmaster)
                if way == "ours":
                    calls, seconds = _measure_ours(case, OURS, run, options.seconds)
                else:
                    calls, seconds = _measure_pgbench(f"{server}/settle", case, run, options.seconds)
                measured[case.name, way].add(calls, seconds, cpu_seconds(postmaster) - before)
                print(f"{case.name}, {way}: {calls / seconds:,.0f}/s", file=sys.stderr, flush=True)
    return _comparison(measured)


def _tune(options: argparse.Namespace) -> str:
    """Other batches against ours, with 1,024 calls waiting; returns the table."""
    runs = (f"run{number}-" for number in itertools.count())
    cases = [replace(case, waiting=1024) for case in CASES]
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        for case in cases:
            for way in WAYS:
                run = next(runs)
                _prepare(case, run)
                calls, seconds = _measure_ours(case, way, run, options.seconds)
                rates[case.name, way.name].append(calls / seconds)
                print(f"{case.name}, {way.name}: {calls / seconds:,.0f}/s", file=sys.stderr, flush=True)
    lines = []
    for (case_name, way_name), found in rates.items():
        each = [a / b for a, b in zip(found, rates[case_name, OURS.name], strict=True)]
        lines.append(
            [case_name, way_name, f"{statistics.median(found):,.0f}", f"{statistics.median(each):.2f}"]
        )
    return table("## 1,024 calls waiting", ["Settling", "how", "calls/s", "÷ ours"], lines, texts=2)


def _measure_ours(case: Case, way: Way, run: str, seconds: float) -> tuple[int, float]:
    """Settlements by the relay's own group commit, ``waiting`` of them at any time."""
    from billing.services import calls
    from billing.services.settle import Settled, Settlement
    from relay.group_commit import GroupCommit

    numbers = itertools.count(1)

    def settlement() -> Settlement:
        number = next(numbers)
        account = 1 + number * 7919 % case.accounts
        return Settlement(
            request_id=f"{run}{number}", account_id=account, username="caller", token_id=account,
            token_name="bench", channel_id=1, channel_name="sandbox", model="sandbox-echo",
            served_model="sandbox-echo", prompt_tokens=20, cached_tokens=0, completion_tokens=20, quota=COST,
            estimate=COST, upstream_cost=60_000, price_version="operator:1", group_multiplier=Decimal(1),
            usage_source="upstream", status="ok", http_status=200, error_code="", is_stream=False,
            first_byte_ms=5, duration_ms=10, created_at=datetime.now(tz=UTC),
        )  # fmt: skip

    async def load() -> int:
        executor = ThreadPoolExecutor(way.writers)
        commits: list[GroupCommit[Settlement, Settled]] = [
            GroupCommit(
                lambda batch: calls.settle(settlements=batch, at=datetime.now(tz=UTC)),
                executor=executor,
                max_size=way.size,
            )
            for _ in range(way.writers)
        ]
        deadline = time.perf_counter() + seconds
        counts = [0] * case.waiting

        async def client(index: int) -> None:
            while time.perf_counter() < deadline:
                await commits[index % way.writers].submit(settlement())
                counts[index] += 1

        await asyncio.gather(*map(client, range(case.waiting)))
        executor.shutdown()
        return sum(counts)

    began = time.perf_counter()
    return asyncio.run(load()), time.perf_counter() - began


def _measure_pgbench(url: str, case: Case, run: str, seconds: float) -> tuple[int, float]:
    """The same, each in a transaction of its own, by so many clients."""
    found = postgres.binaries()
    program = found / "pgbench" if found and (found / "pgbench").exists() else Path("pgbench")
    command = [program, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "1", "-T", f"{max(seconds, 1):.0f}"]
    command += ["-D", f"accounts={case.accounts}", "-f", "-", url]
    script = SCRIPT.read_text(encoding="utf-8").replace("RUN", run)
    output = subprocess.run(command, check=True, input=script, capture_output=True, text=True).stdout
    count = re.search(r"transactions actually processed: (\d+)", output)
    rate = re.search(r"tps = ([\d.]+)", output)
    if count is None or rate is None:
        raise RuntimeError(output)
    return int(count[1]), int(count[1]) / float(rate[1])


def _prepare(case: Case, run: str) -> None:
    """Holds for more calls than the window can settle, in place of those that the last one left."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_hold")
        cursor.execute(_HOLDS.format(run=run, accounts=case.accounts, n=HOLDS))
        for statement in _COUNT_HELD.split(";"):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("ALTER SEQUENCE bench_call RESTART")
            cursor.execute("VACUUM ANALYZE")


@contextmanager
def _database(*, is_sqlite: bool) -> Iterator[str]:
    """A database of its own with the accounts; sets the process's environment.

    :returns: the PostgreSQL server's base URL; empty for SQLite
    """
    server = "" if is_sqlite else postgres.start(postgres.DURABLE)
    if server:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as made:
            made.execute("CREATE DATABASE settle")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="oneapi_admin.settings",
            DATABASE_URL=f"{server}/settle" if server else f"sqlite:///{folder}/settle.sqlite3",
            DATA_DIR=folder,
            SECRET_KEY="a key for benchmarks only, long enough to be taken",
            ALLOWED_HOSTS="127.0.0.1",
        )
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        from billing.services.channels import ChannelSettings, create_channel

        call_command("migrate", verbosity=0)
        with connection.cursor() as cursor:
            for statement in _ROWS.format(n=ACCOUNTS).split(";"):
                cursor.execute(statement)
            if server:
                cursor.execute("CREATE SEQUENCE bench_call")
        settings = ChannelSettings(name="sandbox", base_url="http://127.0.0.1:9", models=["sandbox-echo"])
        create_channel(actor=None, settings=settings, key="bench")
        yield server


def _comparison(measured: dict[tuple[str, str], Measured]) -> str:
    heads = ["Settling", "waiting", "what", "ratio", "rounds", "ours", "pgbench", "must"]
    lines = []
    for case in CASES:
        ours, bench = measured[case.name, "ours"], measured[case.name, "pgbench"]
        rates = [a / b for a, b in zip(ours.rates, bench.rates, strict=True)]
        cpu = [b / a for a, b in zip(ours.cpu_us, bench.cpu_us, strict=True)]
        pairs = (
            ("calls/s", rates, ours.rates, bench.rates, case.must_rate),
            ("CPU, µs a call, pgbench ÷ ours", cpu, ours.cpu_us, bench.cpu_us, case.must_cpu),
        )
        for what, ratios, first, second, must in pairs:
            middle = statistics.median(ratios)
            lines.append(
                [
                    case.name,
                    str(case.waiting),
                    what,
                    f"{middle:.1f}",
                    f"{min(ratios):.1f} – {max(ratios):.1f}",
                    f"{statistics.median(first):,.0f}",
                    f"{statistics.median(second):,.0f}",
                    f"≥ {must:g}: {'met' if middle >= must else 'MISSED'}",
                ]
            )
    note = f"Second      pgbench, prepared statements, {CLIENTS} clients, one transaction a call\n"
    return note + table("## Ratios", heads, lines, texts=3)


def _print_soundness() -> int:
    from django.db import connection

    audit = subprocess.run(
        [sys.executable, "manage.py", "audit_ledger"], check=False, capture_output=True, text=True
    )
    deadlocks = 0
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            [deadlocks] = cursor.fetchone()
    print(f"\nDeadlocks {deadlocks}; ledger audit: {'clean' if not audit.returncode else audit.stdout}")
    return int(bool(deadlocks or audit.returncode))


if __name__ == "__main__":
    sys.exit(main())
