"""Samples into the table that is printed: ratios, with both absolute figures behind each."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.calls import Shape
from bench.load import Window


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure, once a round."""

    server: str
    shape: str
    clients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One round's measurement of a case; CPU times are microseconds per answer."""

    window: Window
    server_cpu_us: float
    database_cpu_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One line: how many times the rate of ``bottom`` the rate of ``top`` is."""

    label: str
    top: str
    bottom: str
    shape: Shape
    clients: int
    must: float | None = None
    against_best_of: Sequence[int] = ()
    """Compare each round of ``top`` with the best of ``bottom``'s rounds at any of these concurrencies; else
    with its round at the same concurrency."""


@dataclass(slots=True)
class Results:
    samples: dict[Case, list[Sample]] = field(default_factory=lambda: defaultdict(list))

    def has(self, server: str, shape: Shape, clients: int) -> bool:
        return Case(server, shape.name, clients) in self.samples

    def rates(self, server: str, shape: Shape, clients: int) -> list[float]:
        return [sample.window.rate for sample in self.samples.get(Case(server, shape.name, clients), [])]

    def latency(self, server: str, shape: Shape, clients: int) -> tuple[float, float]:
        """The medians of p50 and of p99, in milliseconds."""
        windows = [sample.window for sample in self.samples[Case(server, shape.name, clients)]]
        return statistics.median(w.p50_ms for w in windows), statistics.median(w.p99_ms for w in windows)


def ratio_lines(results: Results, ratios: Iterable[Ratio]) -> list[list[str]]:
    lines = []
    for ratio in ratios:
        against = ratio.against_best_of or (ratio.clients,)
        bottoms = [rate for clients in against for rate in results.rates(ratio.bottom, ratio.shape, clients)]
        if not bottoms:
            continue
        tops = results.rates(ratio.top, ratio.shape, ratio.clients)
        if ratio.against_best_of:
            bottoms = [max(bottoms)] * len(tops)
        each = [top / bottom if bottom else 0.0 for top, bottom in zip(tops, bottoms, strict=True)]
        middle = statistics.median(each)
        lines.append(
            [
                ratio.label,
                ratio.shape.name,
                str(ratio.clients),
                _number(middle),
                f"{_number(min(each))} – {_number(max(each))}",
                f"{statistics.median(tops):,.0f}",
                f"{statistics.median(bottoms):,.0f}",
                _verdict(middle, ratio.must),
            ]
        )
    return lines


def latency_lines(
    results: Results, pairs: Iterable[tuple[str, str]], shapes: Sequence[Shape], clients: Sequence[int]
) -> list[list[str]]:
    """Latency of each pair's first server, and what it adds to its second."""
    lines = []
    for shape in shapes:
        for number in clients:
            for server, base in pairs:
                if not (results.has(server, shape, number) and results.has(base, shape, number)):
                    continue
                line = [server, shape.name, str(number)]
                both = (results.latency(name, shape, number) for name in (server, base))
                for ours, theirs in zip(*both, strict=True):
                    line += [f"{ours:,.2f}", f"{theirs:,.2f}", f"{ours - theirs:+,.2f}"]
                lines.append(line)
    return lines


def cpu_lines(results: Results) -> list[list[str]]:
    lines = []
    for case, samples in results.samples.items():
        server = statistics.median(sample.server_cpu_us for sample in samples)
        database = statistics.median(sample.database_cpu_us for sample in samples)
        used = f"{database:,.0f}" if case.server.startswith("relay") else "–"
        lines.append([case.server, case.shape, str(case.clients), f"{server:,.0f}", used])
    return lines


def table(title: str, heads: Sequence[str], lines: Sequence[Sequence[str]], *, texts: int) -> str:
    """A table in Markdown that reads well as plain text too; the first ``texts`` columns are words."""
    widths = [max(len(line[i]) for line in (heads, *lines)) for i in range(len(heads))]
    rule = [
        "-" * width if i < texts else "-" * (width - 1) + ":" for i, width in enumerate(widths)
    ]  # Markdown's mark for a column that is aligned to the right
    rows = [heads, rule, *lines]
    printed = [
        "| "
        + " | ".join(
            text.ljust(width) if i < texts else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    return "\n".join([f"\n{title}\n", *printed])


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _verdict(value: float, must: float | None) -> str:
    if must is None:
        return ""
    return f"≥ {must:g}: {'met' if value >= must else 'MISSED'}"
