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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
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

_ROWS = """
INSERT INTO accounts_user
    (id, username, password, email, display_name, role, status, "group", language, created_at)
  SELECT n, 'caller' || n, '!', '', '', 'user', 'enabled', 'default', '', now()
  FROM generate_series(1, {n}) n;
INSERT INTO accounts_token
    (id, user_id, name, key_hash, key_prefix, status, allowed_models, allowed_networks, created_at)
  SELECT n, n, 'bench', md5(n::text), 'sk-…', 'enabled', '[]', '[]', now() FROM generate_series(1, {n}) n;
INSERT INTO billing_quotaaccount (user_id, balance, held, used_quota, request_count)
  SELECT n, 1000000000000, 0, 0, 0 FROM generate_series(1, {n}) n;
INSERT INTO billing_tokenquota (token_id, used_quota, held, request_count)
  SELECT n, 0, 0, 0 FROM generate_series(1, {n}) n;
INSERT INTO billing_ledgerentry (account_id, kind, amount, balance_after, memo, reference, created_at)
  SELECT n, 'top_up', 1000000000000, 1000000000000, '', '', now() FROM generate_series(1, {n}) n;
CREATE SEQUENCE bench_call
"""

_HOLDS = """
INSERT INTO billing_hold (request_id, account_id, token_id, amount, created_at, expires_at)
  SELECT '{run}' || n, 1 + n::bigint * 7919 % {accounts}, 1 + n::bigint * 7919 % {accounts}, {cost},
         now(), now() + interval '1 h' FROM generate_series(1, {calls}) n;
ALTER SEQUENCE bench_call RESTART
"""
_COUNT_HELD = """
UPDATE billing_quotaaccount a SET held = h.held FROM
  (SELECT q.user_id, coalesce(sum(amount), 0) AS held FROM billing_quotaaccount q
   LEFT JOIN billing_hold h ON h.account_id = q.user_id GROUP BY 1) h WHERE h.user_id = a.user_id;
UPDATE billing_tokenquota t SET held = a.held FROM billing_quotaaccount a WHERE a.user_id = t.token_id;
VACUUM ANALYZE
"""
"""A call's account is 1 + number × 7919 modulo the number of accounts, in Python, SQL and pgbench alike."""


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
    options = parser.parse_args()
    with _database() as url:
        postmaster = postmaster_of(url.rpartition("/")[0])
        runs = (f"run{number}-" for number in itertools.count())
        measured = {(case.name, way): Measured() for case in CASES for way in ("ours", "pgbench")}
        fsync: list[float] = []
        for _ in range(options.rounds):
            fsync += machine.fsync_ms(1.0)
            for case in CASES:
                for way, measure in (("ours", _measure_ours), ("pgbench", _measure_pgbench)):
                    run = next(runs)
                    _prepare(url, case, run)
                    before = cpu_seconds(postmaster)
                    calls, seconds = measure(url, case, run, options.seconds)
                    measured[case.name, way].add(calls, seconds, cpu_seconds(postmaster) - before)
                    _clean_up(url)
                    print(f"{case.name}, {way}: {calls / seconds:,.0f}/s", file=sys.stderr, flush=True)
        _print_report(measured, options, fsync)
        return _print_soundness(url)


def _measure_ours(_url: str, case: Case, run: str, seconds: float) -> tuple[int, float]:
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
        executor = ThreadPoolExecutor(1)
        commit: GroupCommit[Settlement, Settled] = GroupCommit(
            lambda batch: calls.settle(settlements=batch, at=datetime.now(tz=UTC)),
            executor=executor,
            max_size=256,
        )
        deadline = time.perf_counter() + seconds
        counts = [0] * case.waiting

        async def client(index: int) -> None:
            while time.perf_counter() < deadline:
                await commit.submit(settlement())
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


def _prepare(url: str, case: Case, run: str) -> None:
    """Holds for more calls than the window can settle."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (_HOLDS + ";" + _COUNT_HELD).split(";"):
            connection.execute(
                statement.format(run=run, accounts=case.accounts, cost=COST, calls=HOLDS)  # type: ignore[arg-type]
            )


def _clean_up(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE billing_hold")
        for statement in _COUNT_HELD.split(";"):
            connection.execute(statement)  # type: ignore[arg-type]


@contextmanager
def _database() -> Iterator[str]:
    """A database of its own with the accounts; sets the process's environment."""
    server = postgres.start(postgres.DURABLE)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE settle")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        url = f"{server}/settle"
        os.environ.update(
            DJANGO_SETTINGS_MODULE="oneapi_admin.settings",
            DATABASE_URL=url,
            DATA_DIR=folder,
            SECRET_KEY="a key for benchmarks only, long enough to be taken",
            ALLOWED_HOSTS="127.0.0.1",
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _ROWS.split(";\n"):
                connection.execute(statement.format(n=ACCOUNTS))  # type: ignore[arg-type]
        from billing.services.channels import ChannelSettings, create_channel

        create_channel(
            actor=None,
            settings=ChannelSettings(name="sandbox", base_url="http://127.0.0.1:9", models=["sandbox-echo"]),
            key="bench",
        )
        yield url


def _print_report(
    measured: dict[tuple[str, str], Measured], options: argparse.Namespace, fsync: list[float]
) -> None:
    print(f"# Settling calls on PostgreSQL, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
    print(f"Machine     {machine.describe()}")
    print(f"Rounds      {options.rounds} of {options.seconds:g} s, in turns; medians")
    print(f"fdatasync   {machine.describe_fsync(fsync)}")
    print(f"Second      pgbench, prepared statements, {CLIENTS} clients, one transaction a call")
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
    print(table("## Ratios", heads, lines, texts=3))


def _print_soundness(url: str) -> int:
    audit = subprocess.run(
        [sys.executable, "manage.py", "audit_ledger"], check=False, capture_output=True, text=True
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    deadlocks = row[0] if row else 0
    print(f"\nDeadlocks {deadlocks}; ledger audit: {'clean' if not audit.returncode else audit.stdout}")
    return int(bool(deadlocks or audit.returncode))


if __name__ == "__main__":
    sys.exit(main())
