"""``python -m bench.reconcile``: a round of all channels against the time that their providers take."""

import argparse
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from bench import machine
from bench.database import own_database
from bench.report import table

ASKS = 3
"""Requests that this kind of provider needs for a balance."""
MUST = 1.2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.reconcile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--channels", type=int, default=1_000)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=0.2, help="that a provider takes for a request")
    parser.add_argument(
        "--quick", action="store_true", help="one round of few channels, to see that it works"
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.channels, options.hosts = 1, 64, 20
    with own_database("reconcile"), _provider(options.seconds) as port:
        _make_channels(options.channels, options.hosts, port)
        took = [_round(options.channels) for _ in range(options.rounds)]
    least = _least_seconds(options)
    ratios = [seconds / least for seconds in took]
    middle = statistics.median(ratios)
    print(f"# Reconciling channels on PostgreSQL, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
    print(f"Machine     {machine.describe()}")
    print(
        f"Rounds      {options.rounds}; {options.channels:,} channels at {options.hosts} hosts,"
        f" {ASKS} requests of {options.seconds:g} s each"
    )
    heads = ["what", "ratio", "rounds", "took", "least", "must"]
    line = [
        "time of a round ÷ the least that the concurrency allows",
        f"{middle:.2f}",
        f"{min(ratios):.2f} – {max(ratios):.2f}",
        f"{statistics.median(took):.1f} s",
        f"{least:.1f} s",
        f"≤ {MUST:g}: {'met' if middle <= MUST else 'MISSED'}",
    ]
    print(table("## Ratio", heads, [line], texts=1))
    return 0


def _least_seconds(options: argparse.Namespace) -> float:
    """Waves of as many as are asked at once, or of one host's few, whichever takes longer."""
    from billing.services.polling import AT_ONCE, AT_ONCE_EACH_HOST

    waves = math.ceil(options.channels / AT_ONCE)
    of_a_host = math.ceil(math.ceil(options.channels / options.hosts) / AT_ONCE_EACH_HOST)
    return float(max(waves, of_a_host) * ASKS * options.seconds)


def _make_channels(count: int, hosts: int, port: int) -> None:
    from billing.services import channels

    for number in range(count):
        host = number % hosts
        settings = channels.ChannelSettings(
            name=f"channel {number}",
            base_url=f"http://127.0.{host // 250}.{1 + host % 250}:{port}",
            models=["a-model"],
        )
        channels.create_channel(actor=None, settings=settings, key=f"sk-{number:012}")


def _round(channels: int) -> float:
    from django.utils import timezone

    from billing.models import BalancePoll, BalanceSnapshot
    from billing.services import polling

    BalanceSnapshot.objects.all().delete()
    BalancePoll.objects.update(due_at=timezone.now())
    began = time.perf_counter()
    asked = polling.ask_due(at=timezone.now())
    took = time.perf_counter() - began
    if asked != channels or BalanceSnapshot.objects.count() != channels:
        raise RuntimeError(f"{asked} of {channels} channels were asked")
    print(f"{channels:,} channels in {took:.2f} s", file=sys.stderr, flush=True)
    return took


@contextmanager
def _provider(seconds: float) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.slow_provider", str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


if __name__ == "__main__":
    sys.exit(main())
