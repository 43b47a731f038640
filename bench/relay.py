"""``python -m bench.relay``: what the metered relay costs, as ratios measured side by side in one run."""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench import litellm, load, machine, report
from bench.calls import JSON, PACED, SHAPES, SSE, Shape
from bench.stack import ACCOUNTS, ROOT, Server, Stack, cpu_seconds, running_stack

MANY = 64
FULL = 256
"""As many as a batch holds. With fewer, everybody waits for the same two commits and the processors idle."""
SINGLE = "relay, one transaction a call"
DRAIN_S = 3
LITELLM_DRAIN_S = 15
LITELLM_WARM_UP_S = 10
LITELLM_WINDOW_S = 10
FSYNC_S = 1.0

RATIOS = [
    report.Ratio(label="relay ÷ direct", top="relay", bottom="direct", shape=JSON, clients=MANY),
    report.Ratio(label="relay ÷ direct", top="relay", bottom="direct", shape=SSE, clients=MANY),
    report.Ratio(label="relay ÷ direct", top="relay", bottom="direct", shape=PACED, clients=MANY),
    report.Ratio(
        label="relay, one account ÷ direct",
        top="relay, one account",
        bottom="direct",
        shape=JSON,
        clients=MANY,
    ),
    report.Ratio(
        label="relay ÷ itself, one transaction a call",
        top="relay",
        bottom=SINGLE,
        shape=JSON,
        clients=MANY,
        must=2,
    ),
    *(
        report.Ratio(
            label="relay ÷ LiteLLM's best window",
            top="relay",
            bottom="LiteLLM",
            shape=shape,
            clients=clients,
            must=must,
            against_best_of=(1, MANY, FULL),
        )
        for shape, must in ((JSON, 25), (SSE, 40))
        for clients in (MANY, FULL)
    ),
]


@dataclass(slots=True)
class Run:
    """Measures, and keeps count of every call that the ledger has to show."""

    stack: Stack
    servers: dict[str, Server]
    results: report.Results = field(default_factory=report.Results)
    metered_answers: int = 0
    unfinished: int = 0
    faults: list[str] = field(default_factory=list)

    def check(self, server: Server, shape: Shape) -> None:
        """
        :raises WrongAnswerError: if the server does not serve what is to be measured
        """
        shape.check(*load.ask(server.target, shape.body))
        if self._is_metered(server):
            self.metered_answers += 1

    def measure(self, server: Server, shape: Shape, clients: int, seconds: float) -> report.Sample:
        """Load a server for a window of time."""
        drain = DRAIN_S if self._is_ours(server) or clients == 1 else LITELLM_DRAIN_S
        before = cpu_seconds(server.pid), cpu_seconds(self.stack.postmaster)
        window = load.run(server.target, shape.body, clients=clients, seconds=seconds, drain=drain)
        after = cpu_seconds(server.pid), cpu_seconds(self.stack.postmaster)
        if not window.is_clean:
            self.faults.append(f"{server.target.name}, {shape.name}, {clients} clients: {window}")
        if self._is_metered(server):
            self.metered_answers += window.answers
            self.unfinished += window.unfinished
        calls = max(window.answers, 1) / 1e6
        return report.Sample(
            window=window,
            server_cpu_us=(after[0] - before[0]) / calls,
            database_cpu_us=(after[1] - before[1]) / calls,
        )

    def _is_ours(self, server: Server) -> bool:
        return server.target.name != "LiteLLM"

    def _is_metered(self, server: Server) -> bool:
        return server.target.name.startswith("relay")


def main() -> int:
    options = _parse()
    with ExitStack() as stack:
        made = stack.enter_context(running_stack())
        servers = {s.target.name: s for s in (made.direct, made.relay, made.hot, made.single)}
        compared = "not asked for"
        if not options.no_litellm:
            compared = _add_litellm(stack, made, servers)
        run = Run(made, servers)
        _warm_up(run, options.seconds)
        fsync: list[float] = []
        for number in range(options.rounds):
            fsync += machine.fsync_ms(FSYNC_S)
            for server, shape, clients in _cases(servers, is_reversed=bool(number % 2)):
                _measure_case(run, server, shape, clients, options.seconds)
        is_sound = _print_report(run, options, fsync, compared)
    return 0 if is_sound else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="at least 3 to be believed (default: 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each window (default: 5)")
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s: only to see that it works")
    parser.add_argument("--no-litellm", action="store_true", help="leave out the comparison with LiteLLM")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    return options


def _add_litellm(stack: ExitStack, made: Stack, servers: dict[str, Server]) -> str:
    """Start LiteLLM if it can be had; return what the report says of it."""
    try:
        programs = litellm.install()
        servers["LiteLLM"] = stack.enter_context(litellm.running(programs, made.sandbox))
    except (litellm.NotInstallableError, RuntimeError) as exc:
        return f"NOT COMPARED: {' '.join(str(exc).split())}"
    return f"{litellm.version(programs)}, no database, one worker, warmed up {LITELLM_WARM_UP_S} s a shape"


def _warm_up(run: Run, seconds: float) -> None:
    """Check that every server answers rightly, and let it get up to speed."""
    for server in run.servers.values():
        is_litellm = server.target.name == "LiteLLM"
        for shape in (JSON, SSE) if is_litellm else SHAPES:
            run.check(server, shape)
            run.measure(server, shape, MANY, LITELLM_WARM_UP_S if is_litellm else min(seconds, 2.0))


def _cases(servers: dict[str, Server], *, is_reversed: bool) -> Iterator[tuple[Server, Shape, int]]:
    """Everything that a round measures; every other round goes through it backwards."""
    rivals = ("direct", "relay", "LiteLLM")
    cases = [
        *((name, JSON, MANY) for name in (SINGLE, *rivals, "relay, one account")),
        *((name, SSE, MANY) for name in rivals),
        *((name, PACED, MANY) for name in ("direct", "relay")),
        *((name, shape, FULL) for shape in (JSON, SSE) for name in rivals),
        *((name, shape, 1) for shape in (JSON, SSE) for name in rivals),
    ]
    ordered = reversed(cases) if is_reversed else cases
    return ((servers[name], shape, clients) for name, shape, clients in ordered if name in servers)


def _measure_case(run: Run, server: Server, shape: Shape, clients: int, seconds: float) -> None:
    name = server.target.name
    if name == "LiteLLM":
        seconds = max(seconds, LITELLM_WINDOW_S)
    sample = run.measure(server, shape, clients, seconds)
    run.results.samples[report.Case(name, shape.name, clients)].append(sample)
    print(
        f"{name}, {shape.name}, {clients} clients: {sample.window.rate:,.0f}/s", file=sys.stderr, flush=True
    )


def _print_report(run: Run, options: argparse.Namespace, fsync: Sequence[float], compared: str) -> bool:
    """Print everything; return whether the calls were served and accounted for."""
    database = run.stack.database_settings()
    version = database.pop("server_version")
    rows = run.stack.usage_rows()
    is_audit_clean, audit = run.stack.audit()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    print(f"# Relay benchmark, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {commit.stdout.strip() or 'no git'}\n")
    print(f"Machine     {machine.describe()}; shared by the load, the relay, its upstream and PostgreSQL")
    print(f"Load        {load.generator()}; closed loop; {ACCOUNTS} accounts in turn unless “one account”")
    print(
        f"Rounds      {options.rounds} of {options.seconds:g} s a window, every other one backwards; medians"
    )
    print(f"PostgreSQL  {version}; " + ", ".join(f"{name} {value}" for name, value in database.items()))
    print(f"fdatasync   {machine.describe_fsync(list(fsync))}")
    print(f"LiteLLM     {compared}")
    results = run.results
    heads = ["Throughput", "call", "clients", "ratio", "rounds", "first/s", "second/s", "must"]
    print(report.table("## Ratios", heads, report.ratio_lines(results, RATIOS), texts=2))
    heads = ["Latency, ms", "call", "clients", "p50", "direct", "added", "p99", "direct", "added"]
    pairs = [("relay", "direct"), ("relay, one account", "direct"), ("LiteLLM", "direct")]
    lines = report.latency_lines(results, pairs, SHAPES, (1, MANY, FULL))
    print(report.table("## Latency", heads, lines, texts=2))
    heads = ["CPU, µs an answer", "call", "clients", "its process", "PostgreSQL"]
    print(report.table("## CPU", heads, report.cpu_lines(results), texts=2))
    return _print_accounts(run, rows, audit if not is_audit_clean else "")


def _print_accounts(run: Run, rows: int, audit: str) -> bool:
    is_counted = run.metered_answers <= rows <= run.metered_answers + run.unfinished
    verdict = "equal" if rows == run.metered_answers else "as far as seen" if is_counted else "DIFFERENT"
    print(f"\n## Accounts\n\n200 answers seen {run.metered_answers:,}, usage rows {rows:,}: {verdict}")
    print(f"Calls cut off before their answer: {run.unfinished}")
    print(f"Ledger audit: {'DRIFT' if audit else 'clean'}\n{audit}".rstrip())
    for fault in run.faults:
        print(f"FAULT: {fault}")
    ours = [fault for fault in run.faults if not fault.startswith("LiteLLM")]
    return is_counted and not audit and not ours


if __name__ == "__main__":
    sys.exit(main())
