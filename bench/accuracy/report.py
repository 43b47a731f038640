"""What a run came to, as it is printed."""

import subprocess
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection

from bench import machine, report
from bench.accuracy import traffic
from bench.accuracy.checks import EXPLANATIONS, Fault
from bench.accuracy.clients import Ending, Seen
from bench.accuracy.options import Load
from bench.accuracy.run import Result
from tests.support.processes import ROOT

_EXAMPLES = 5


def print_report(result: Result, load: Load) -> None:
    """Print the tables, in Markdown that reads well as plain text too."""
    seen = result.observed.seen
    _print_head(result, load)
    _print_verdict(result)
    heads = ["Mix", "asked", "refused", "answered", "failed", "left", "broke"]
    print(report.table("## Calls", heads, list(_mix_lines(seen)), texts=1))
    heads = ["Refused or failed", "status", "calls"]
    print(report.table("## Refusals", heads, _refusal_lines(seen), texts=1))
    heads = ["Latency, ms", "calls", "p50", "p99"]
    print(report.table("## Latency", heads, list(_latency_lines(seen)), texts=1))
    _print_budgets(result)


def _print_head(result: Result, load: Load) -> None:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    made = len(result.observed.seen) - result.last_calls
    killed = f"; {result.kills} relay processes killed" if load.kill_every_s else ""
    print(f"# Accuracy, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {commit.stdout.strip() or 'no git'}\n")
    print(f"Machine     {machine.describe()}; shared by clients, relays, upstream and database")
    print(f"Database    {_database()}")
    print(f"fdatasync   {machine.describe_fsync(list(result.fsync))}")
    print(f"Traffic     {traffic.source()}; seed {load.seed}")
    print(
        f"Load        {load.clients} clients, {load.processes} relay processes, {load.accounts} accounts;"
        f" {result.top_ups} top-ups meanwhile{killed}"
    )
    print(
        f"Throughput  {made:,} of {load.calls:,} calls in {result.seconds:.0f} s:"
        f" {made / result.seconds:,.0f}/s; the clients used {result.cpu_share:.2f} of a core"
    )


def _database() -> str:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sqlite_version()")
            [version] = cursor.fetchone()
            cursor.execute("PRAGMA synchronous")
            [synchronous] = cursor.fetchone()
            return f"SQLite {version}, synchronous {synchronous}"
        values = []
        for name in ("server_version", "fsync", "synchronous_commit", "full_page_writes"):
            cursor.execute(f"SHOW {name}")
            values.append(cursor.fetchone()[0])
    version, fsync, commit, pages = values
    return f"PostgreSQL {version}; fsync {fsync}, synchronous_commit {commit}, full_page_writes {pages}"


def _print_verdict(result: Result) -> None:
    findings = result.findings
    lines = [[fault.value, EXPLANATIONS[fault], f"{len(findings.faults[fault]):,}"] for fault in Fault]
    print(report.table("## Faults: all have to be 0", ["", "what", "found"], lines, texts=2))
    for fault in Fault:
        for text in findings.faults[fault][:_EXAMPLES]:
            print(f"{fault.value}: {text}")
    rows = result.observed.books.rows
    print(f"\nCompared    {len(result.observed.seen):,} calls with {len(rows):,} rows of usage,")
    print(f"            {len(result.observed.books.entries):,} ledger entries, and what the upstream served")
    unknown, explained = findings.unknown, findings.explained
    print(f"Unknown     {unknown:,} calls whose clients got no request id; {explained:,} rows are theirs")
    if findings.recovered:
        print(
            f"Recovered   {findings.recovered:,} streams of killed processes:"
            f" {findings.recovered_tokens:,} tokens charged, {findings.recovered_words:,} seen by clients"
        )
    again = len(result.observed.last_refusals)
    print(f"In the end  {result.last_calls:,} refused calls made once more, {again:,} refused for good")
    print(f"Audit       {'NOT CLEAN' if result.audit else 'clean'}\n{result.audit}".rstrip())


def _mix_lines(seen: Iterable[Seen]) -> Iterable[list[str]]:
    by_kind: dict[str, Counter[str]] = {}
    for one in seen:
        counts = by_kind.setdefault(one.call.kind.name, Counter())
        counts["asked"] += 1
        counts[_fate(one)] += 1
    names = ("asked", "refused", "answered", "failed", "left", "broke")
    total = sum(by_kind.values(), Counter())
    for kind, counts in [*sorted(by_kind.items(), key=lambda item: -item[1]["asked"]), ("all", total)]:
        yield [kind, *(f"{counts[name]:,}" for name in names)]


def _fate(one: Seen) -> str:
    if one.refusal is not None:
        return "refused"
    if one.ending == Ending.LEFT:
        return "left"
    if one.ending != Ending.WHOLE:
        return "broke"
    return "answered" if one.is_complete else "failed"


def _refusal_lines(seen: Iterable[Seen]) -> list[list[str]]:
    codes = Counter((one.code, one.status) for one in seen if one.code)
    return [[code, str(status), f"{count:,}"] for (code, status), count in codes.most_common()]


def _latency_lines(seen: Iterable[Seen]) -> Iterable[list[str]]:
    times: dict[str, list[float]] = {"JSON": [], "stream": [], "refusal": []}
    for one in seen:
        if one.refusal is not None:
            times["refusal"].append(one.milliseconds)
        elif one.is_complete:
            times["stream" if one.call.kind.is_stream else "JSON"].append(one.milliseconds)
    for name, values in times.items():
        if values:
            values.sort()
            p50, p99 = (values[len(values) * share // 100] for share in (50, 99))
            yield [name, f"{len(values):,}", f"{p50:,.1f}", f"{p99:,.1f}"]


def _print_budgets(result: Result) -> None:
    """How much of what accounts were given was spent, by how much their calls would have cost."""
    charged: Counter[int] = Counter()
    for row in result.observed.books.rows:
        charged[row.account_id] += row.quota
    groups: dict[str, list[float]] = {"below 1": [], "1 to 2": [], "above 2": []}
    for budget in result.installation.budgets:
        name = "below 1" if budget.load < 1 else "1 to 2" if budget.load <= 2 else "above 2"
        groups[name].append(charged[budget.account_id] / result.observed.granted[budget.account_id])
    lines = [
        [name, str(len(spent)), f"{min(spent):.2%}", f"{max(spent):.2%}"]
        for name, spent in groups.items()
        if spent
    ]
    heads = ["Cost of all calls ÷ quota", "accounts", "least spent", "most spent"]
    print(report.table("## Spent, of what was given", heads, lines, texts=1))
