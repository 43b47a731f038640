"""One run: set up, load, let everything come to rest, ask once more for what was refused, compare."""

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from bench import machine
from bench.accuracy import callers, records, traffic
from bench.accuracy.callers import Caller, Installation
from bench.accuracy.checks import Findings, LastRefusal, Observations, check
from bench.accuracy.clients import Clients, Seen
from bench.accuracy.disturbances import Killer, Servers, TopUps
from bench.accuracy.options import Load
from bench.accuracy.traffic import Call, Kind, Leaves
from tests.relay.scripted import scripted_upstream
from tests.sandbox.server import start_sandbox
from tests.support.processes import ROOT, environment, web_processes

_ARRIVALS_SHARE = 0.5
"""Of the time that a run may take, in which the calls arrive; the rest is for a machine that is slow."""
_REST_S = 60.0
_PLENTY_USD = "999999999"
_LAST_CALLS = 1_000_000
"""Numbers of the calls that are made again in the end begin here."""
_FSYNC_S = 1.0


@dataclass(slots=True, kw_only=True)
class Result:
    """What a run came to."""

    observed: Observations
    findings: Findings
    installation: Installation
    planned: Sequence[Call]
    seconds: float
    cpu_share: float
    top_ups: int
    kills: int
    last_calls: int
    """Calls that were refused and made once more in the end."""
    audit: str
    """What the product's own audit said; empty when it found everything in order."""
    fsync: Sequence[float]

    @property
    def is_sound(self) -> bool:
        return self.findings.is_clean and not self.audit


def measure(load: Load, folder: Path) -> Result:
    """Run on the database of Django's settings, which has to be empty; files go to the folder."""
    fsync = machine.fsync_ms(_FSYNC_S)
    planned = traffic.plan(
        calls=load.calls,
        callers=load.accounts * callers.TOKENS,
        seconds=load.seconds * _ARRIVALS_SHARE,
        seed=load.seed,
    )
    record = folder / "served"
    with ExitStack() as stack:
        sandbox = stack.enter_context(
            start_sandbox(folder, balance_usd=_PLENTY_USD, monthly_cap_usd=_PLENTY_USD, record=record)
        )
        scripted = {
            model: stack.enter_context(scripted_upstream(status=200, body=body))
            for model, body in callers.scripted_bodies().items()
        }
        made = callers.install(calls=planned, account_count=load.accounts, sandbox=sandbox, scripted=scripted)
        servers = Servers(stack.enter_context(web_processes(load.processes)))
        # Where relays are killed, top-ups go to one that lives: a first page takes longer than the others do.
        console = servers if load.kill_every_s is None else Servers(stack.enter_context(web_processes(1)))
        clients = Clients(callers=made.callers, ports=servers.ports)
        top_ups = TopUps(
            made.budgets,
            access_key=made.access_key,
            ports=console.ports,
            seconds=load.seconds * _ARRIVALS_SHARE,
            seed=load.seed,
        )
        killer = None if load.kill_every_s is None else Killer(servers, every_s=load.kill_every_s)
        background = [top_ups] if killer is None else [top_ups, killer]
        for work in background:
            work.start()
        try:
            seconds = uvloop.run(clients.run(planned, clients=load.clients, seconds=load.seconds))
        finally:
            for work in background:
                work.stop()
        _wait_for_rest()
        last_refusals, last_calls = uvloop.run(_ask_again(clients, made.callers))
        _wait_for_rest()
    observed = Observations(
        callers=made.callers,
        granted=top_ups.granted,
        seen=clients.seen,
        last_refusals=last_refusals,
        served=records.read_served(record),
        books=records.read_books(),
        may_break=killer is not None,
    )
    return Result(
        observed=observed,
        findings=check(observed),
        installation=made,
        planned=planned,
        seconds=seconds,
        cpu_share=clients.cpu_share,
        top_ups=top_ups.count,
        kills=servers.kills,
        last_calls=last_calls,
        audit=_audit(),
        fsync=fsync,
    )


def _wait_for_rest() -> None:
    """Return when no call is under way, or when that takes so long that holds are leaked."""
    deadline = time.monotonic() + _REST_S
    while records.count_holds() and time.monotonic() < deadline:
        time.sleep(0.05)  # between two polls of a condition with a deadline


async def _ask_again(clients: Clients, who: Sequence[Caller]) -> tuple[list[LastRefusal], int]:
    """Make every account's refused calls again, one at a time, those that need least first.

    Nothing else is under way: what is refused now is refused because of what is left, and for no hold.
    """
    refused: dict[int, list[Seen]] = defaultdict(list)
    for seen in clients.seen:
        if seen.refusal is not None:
            refused[who[seen.call.caller].account_id].append(seen)
    last: list[LastRefusal] = []
    number = _LAST_CALLS
    for of_account in refused.values():
        exhausted: set[int] = set()
        for seen in sorted(of_account, key=_needed):
            if seen.call.caller in exhausted:
                continue
            number += 1
            again = await clients.ask_once(_staying(seen.call, number))
            if again.refusal is not None:
                last.append(LastRefusal(caller=seen.call.caller, needed=again.refusal.needed))
                exhausted.add(seen.call.caller)
    return last, number - _LAST_CALLS


def _needed(seen: Seen) -> int:
    return seen.refusal.needed if seen.refusal else 0


def _staying(call: Call, number: int) -> Call:
    """The same call by a caller who stays to the end."""
    kind = call.kind
    stays = Kind(model=kind.model, share=0, is_stream=kind.is_stream, leaves=Leaves.NEVER)
    return replace(call, number=number, kind=stays)


def _audit() -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "audit_ledger"],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
