"""``python -m bench.codes``: making codes against a bare COPY, redeeming them against pgbench."""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.database import own_database
from bench.report import table
from tests.support import postgres

SCRIPT = Path(__file__).with_name("redeem.pgbench")
CLIENTS, PROCESSES = 64, 2
USERS = 10_000
QUOTA = 500
_BULK_SHARE = 10
"""``bulk_create`` makes a tenth of the codes: it takes that long."""
_USERS = f"""
INSERT INTO accounts_user
    (username, password, email, display_name, role, status, "group", language, created_at)
  SELECT 'user' || n, '!', '', '', 'user', 'enabled', 'default', '', now() FROM generate_series(1, {USERS}) n;
INSERT INTO billing_quotaaccount (user_id, balance, held, used_quota, request_count)
  SELECT id, 0, 0, 0, 0 FROM accounts_user;
CREATE SEQUENCE bench_code
"""
_CODES_FOR_PGBENCH = """
INSERT INTO redemption_redemptioncode (batch_id, digest, hint)
  SELECT {batch}, sha256(convert_to('pgbench' || n, 'UTF8')), 'ABCD' FROM generate_series(1, {count}) n
"""


@dataclass(slots=True)
class Measured:
    """Codes a second, or redemptions a second, round by round."""

    rates: dict[str, list[float]] = field(default_factory=dict)

    def add(self, way: str, count: int, seconds: float) -> None:
        self.rates.setdefault(way, []).append(count / seconds)
        print(f"{way}: {count:,} in {seconds:.2f} s, {count / seconds:,.0f}/s", file=sys.stderr, flush=True)

    def line(self, label: str, top: str, bottom: str, *, must: float, is_most: bool = False) -> list[str]:
        """``top``'s rate ÷ ``bottom``'s, and whether that is at least, or at most, what it must be."""
        pairs = list(zip(self.rates[top], self.rates[bottom], strict=True))
        ratios = [b / a if is_most else a / b for a, b in pairs]
        middle = statistics.median(ratios)
        is_met = middle <= must if is_most else middle >= must
        return [
            label,
            f"{middle:.2f}",
            f"{min(ratios):.2f} – {max(ratios):.2f}",
            f"{statistics.median(self.rates[top]):,.0f}/s",
            f"{statistics.median(self.rates[bottom]):,.0f}/s",
            f"{'≤' if is_most else '≥'} {must:g}: {'met' if is_met else 'MISSED'}",
        ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.codes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="of redemptions, by each side")
    parser.add_argument("--quick", action="store_true", help="one round with few codes, to see that it works")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.codes, options.seconds = 1, 20_000, 1.0
    measured = Measured()
    with _database() as server:
        fsync = machine.fsync_ms(1.0)
        _make(options.codes, Measured())  # the server's files are there then, for whoever comes first
        makers = [_make, _copy, _bulk_create]
        for number in range(options.rounds):
            for way in makers if number % 2 == 0 else reversed(makers):
                way(options.codes, measured)
        _prepare_redemptions(options)
        redeemers = [_redeem_through_the_service, _redeem_by_pgbench]
        for number in range(options.rounds):
            for redeem in redeemers if number % 2 == 0 else reversed(redeemers):
                redeem(f"{server}/codes", options.seconds, measured)
        print(f"# Codes on PostgreSQL, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
        print(f"Machine     {machine.describe()}")
        print(
            f"Rounds      {options.rounds} in turns; medians. {options.codes:,} codes, {options.seconds:g} s"
        )
        print(f"fdatasync   {machine.describe_fsync(fsync)}")
        print(_tables(measured, options))
        return _print_soundness()


def _tables(measured: Measured, options: argparse.Namespace) -> str:
    heads = ["what", "ratio", "rounds", "ours", "other", "must"]
    copied = f"time of {options.codes:,} codes ÷ bare COPY of the same rows"
    bulk = f"rate ÷ Django's bulk_create, {options.codes // _BULK_SHARE:,} rows that are ready"
    redeemed = f"redemptions by {CLIENTS} clients ÷ pgbench with the same statements"
    lines = [
        measured.line(copied, "make_codes", "COPY", must=1.6, is_most=True),
        measured.line(bulk, "make_codes", "bulk_create", must=18),
        measured.line(redeemed, "redeem", "pgbench", must=0.7),
    ]
    return table("## Ratios", heads, lines, texts=1)


def _make(count: int, measured: Measured) -> None:
    """The product's own: random codes, hashed, encrypted for the export and stored."""
    from redemption.services import making

    batch, now = _order(count), datetime.now(UTC)
    _settle_down()
    began = time.perf_counter()
    if not making.make_codes(batch=batch, at=now):
        raise RuntimeError("no codes were made")
    measured.add("make_codes", count, time.perf_counter() - began)


def _copy(count: int, measured: Measured) -> None:
    """The same rows, finished and in the order of the index, sent to the same table."""
    from django.db import transaction

    from oneapi_admin.lib.copying import copy_in
    from redemption.models import RedemptionCode
    from redemption.services.code_parts import copied

    rows = copied(_order(count).pk, _rows(count))
    _settle_down()
    began = time.perf_counter()
    with transaction.atomic():
        copy_in(RedemptionCode, ("digest", "hint", "batch_id"), rows)
    measured.add("COPY", count, time.perf_counter() - began)


def _bulk_create(count: int, measured: Measured) -> None:
    """The same rows as objects, by the ORM, in its usual portions."""
    from redemption.models import RedemptionCode

    count //= _BULK_SHARE
    batch = _order(count)
    codes = [RedemptionCode(batch=batch, digest=row[:32], hint=row[-4:].decode()) for row in _rows(count)]
    _settle_down()
    began = time.perf_counter()
    RedemptionCode.objects.bulk_create(codes, batch_size=1000)
    measured.add("bulk_create", count, time.perf_counter() - began)


def _order(count: int) -> Any:
    """A batch, and an empty table for its codes."""
    from redemption.services.batches import BatchTerms, create_batch

    _clear()
    terms = BatchTerms(name="bench", quota=QUOTA, count=count)
    return create_batch(actor=None, terms=terms, at=datetime.now(UTC))


def _clear() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE redemption_redemptioncode, redemption_sealedcodes, redemption_codebatch")


def _rows(count: int) -> list[bytes]:
    from redemption.services.code_parts import rows_of

    return rows_of(os.urandom(10 * count))


def _settle_down() -> None:
    """Let what was written before not be paid for now."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")


def _prepare_redemptions(options: argparse.Namespace) -> None:
    """A batch for pgbench, with more codes than it can redeem, of which it knows the hashes."""
    from django.db import connection

    from redemption.models import CodeBatch
    from redemption.services.batches import BatchTerms, create_batch

    _clear()
    count = _enough(options.seconds) * options.rounds
    now = datetime.now(UTC)
    batch = create_batch(actor=None, terms=BatchTerms(name="pgbench", quota=QUOTA, count=count), at=now)
    with connection.cursor() as cursor:
        cursor.execute(_CODES_FOR_PGBENCH.format(batch=batch.pk, count=count))
    CodeBatch.objects.filter(pk=batch.pk).update(status="ready", ready_at=now)


def _enough(seconds: float) -> int:
    return round(10_000 * max(seconds, 1))


def _redeem_through_the_service(_url: str, seconds: float, measured: Measured) -> None:
    """By processes that have a part of the clients each, as threads, and a part of a batch's codes."""
    from redemption.services import making, sealed
    from redemption.services.batches import BatchTerms, create_batch

    count, now = _enough(seconds), datetime.now(UTC)
    batch = create_batch(actor=None, terms=BatchTerms(name="ours", quota=QUOTA, count=count), at=now)
    making.make_codes(batch=batch, at=now)
    codes = list(sealed.open_codes(actor=None, batch=batch, how="bench", at=now))
    _settle_down()
    command = [sys.executable, "-m", "bench.redeeming", str(CLIENTS // PROCESSES), str(seconds), str(USERS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(PROCESSES)]
    for number, process in enumerate(processes):
        process.stdin.write("\n".join(codes[number::PROCESSES]) + "\n\n")
        process.stdin.flush()
    for process in processes:
        process.stdout.readline()  # it is ready
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.close()
    results = [process.stdout.read().split() for process in processes]
    if any(process.wait() for process in processes):
        raise RuntimeError("redeeming failed")
    measured.add("redeem", sum(int(done) for done, _ in results), max(float(took) for _, took in results))


def _redeem_by_pgbench(url: str, seconds: float, measured: Measured) -> None:
    """The same statements, prepared, by as many clients."""
    found = postgres.binaries()
    program = found / "pgbench" if found and (found / "pgbench").exists() else Path("pgbench")
    _settle_down()
    command = [program, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", str(PROCESSES)]
    command += ["-T", f"{max(seconds, 1):.0f}", "-D", f"users={USERS}", "-f", str(SCRIPT), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    count = re.search(r"transactions actually processed: (\d+)", output)
    rate = re.search(r"tps = ([\d.]+)", output)
    if count is None or rate is None:
        raise RuntimeError(output)
    measured.add("pgbench", int(count[1]), int(count[1]) / float(rate[1]))


@contextmanager
def _database() -> Iterator[str]:
    """A database of its own with people; sets the process's environment.

    :returns: the server's base URL
    """
    with own_database("codes") as server:
        from django.db import connection

        with connection.cursor() as cursor:
            for statement in _USERS.split(";"):
                cursor.execute(statement)
        yield server


def _print_soundness() -> int:
    audit = subprocess.run(
        [sys.executable, "manage.py", "audit_ledger"], check=False, capture_output=True, text=True
    )
    print(f"\nLedger audit: {'clean' if not audit.returncode else audit.stdout}")
    return int(bool(audit.returncode))


if __name__ == "__main__":
    sys.exit(main())
