"""``python -m bench.forecast``: how long quota lasts, as forecast and by straight lines, and as it came."""

import argparse
import csv
import math
import random
import statistics
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate

from bench import machine
from bench.accuracy.traffic import TRACE
from bench.report import table
from billing.forecasting import HORIZON, forecast_exhaustion

HOUR = timedelta(hours=1)
DAY, WEEK = 24, 7 * 24
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
LASTING = (2, 6, 12, 24, 72, 168)
"""What is left at each origin, in mean hours of the two weeks before it."""
SLICES = (60, 30, 20, 10, 5)
"""Seconds of the real hour that stand for an hour each."""
_REMEMBERED = 8 * WEEK
_OF_A_DAY = (
    25,
    18,
    15,
    12,
    12,
    15,
    30,
    60,
    110,
    160,
    190,
    190,
    160,
    170,
    190,
    190,
    180,
    150,
    120,
    100,
    90,
    80,
    60,
    40,
)
_LONGEST = HORIZON / HOUR
_NEW = 3 * DAY
"""Hours of history before the first origin, or half of the series where it is short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How somebody spends who is made up; the noises are standard deviations of logarithms."""

    weeks: int = 12
    monday: float = 3.0
    weekend: float = 0.4
    is_flat: bool = False
    noise: float = 0.25
    noise_of_days: float = 0.1
    drift_of_days: float = 0.0
    bursts: float = 0.0
    """The part of the hours that cost 10 to 50 hours more."""
    shifts: float = 0.0
    """The part of the hours after which everything costs a third to three times as much."""
    active: float = 1.0
    """The part of the hours in which anything is spent."""

    def spending(self, seed: int) -> list[int]:
        """Hour by hour, from a Monday on."""
        chance = random.Random(seed)
        level, of_day, hours = 100_000.0, 1.0, []
        for number in range(self.weeks * WEEK):
            day, hour = divmod(number % WEEK, DAY)
            if hour == 0:
                of_day = math.exp(chance.gauss(0, self.noise_of_days))
                level *= math.exp(chance.gauss(0, self.drift_of_days))
            if chance.random() < self.shifts:
                level *= chance.choice((0.3, 0.5, 2, 3))
            level = min(max(level, 5_000), 5_000_000)
            amount = level * of_day * self._usual(day, hour) * math.exp(chance.gauss(0, self.noise))
            if chance.random() < self.bursts:
                amount += level * chance.uniform(10, 50)
            hours.append(round(amount) if chance.random() < self.active else 0)
        return hours

    def _usual(self, day: int, hour: int) -> float:
        if self.is_flat:
            return 1.0
        return _OF_A_DAY[hour] / 100 * (self.monday if day == 0 else self.weekend if day > 4 else 1.0)


MADE_UP = {
    "no pattern": Habits(is_flat=True),
    "days and weekends": Habits(monday=1),
    "3 × Monday": Habits(),
    "3 × Monday, bursts": Habits(bursts=0.01),
    "3 × Monday, levels shift": Habits(shifts=1 / (2 * WEEK)),
    "levels drift": Habits(monday=1, drift_of_days=0.15),
    "one hour in twelve": Habits(monday=1, active=1 / 12),
    "all of it, wild": Habits(
        monday=2, noise=0.8, noise_of_days=0.3, drift_of_days=0.1, bursts=0.01, shifts=1 / (4 * WEEK)
    ),
}

STRAIGHT = {"no pattern": 1.2, "one hour in twelve": 1.2}
"""Where a straight line is right but for chance, and so cannot be beaten: the most that our ratio may be."""


@cache
def trace() -> list[tuple[float, int]]:
    """Seconds since the real hour's first call, and a price: an answer's token costs four of a prompt's."""
    with TRACE.open(encoding="utf-8", newline="") as file:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]), row["ContextTokens"], row["GeneratedTokens"])
            for row in csv.DictReader(file)
        ]
    return [((at - rows[0][0]).total_seconds(), int(prompt) + 4 * int(answer)) for at, prompt, answer in rows]


def sliced(seconds: int) -> list[int]:
    """The real hour as it was, cut into complete slices."""
    slices = [0] * (int(trace()[-1][0]) // seconds)
    for at, price in trace():
        if at < len(slices) * seconds:
            slices[int(at) // seconds] += price
    return slices


def days_of_the_trace(seed: int) -> list[int]:
    """Weeks in which each day is the real hour stretched, with a part of its calls chosen by chance."""
    chance = random.Random(seed)
    longest = trace()[-1][0] + 1
    hours = []
    for day in range(8 * 7):
        part = (0.9, 0.3, 0.3, 0.3, 0.3, 0.12, 0.12)[day % 7]
        of_day = [0] * DAY
        for at, price in trace():
            if chance.random() < part:
                of_day[int(at / longest * DAY)] += price
        hours += of_day
    return hours


def mean_rate(hours: Sequence[int]) -> float:
    return statistics.fmean(hours)


def fitted_rate(hours: Sequence[int]) -> float:
    """The slope of the line through what was spent in all, by least squares."""
    return statistics.linear_regression(range(len(hours)), list(accumulate(hours))).slope


LINES: dict[str, Callable[[Sequence[int]], float]] = {
    f"{name}, {length} h": lambda hours, rate=rate, length=length: rate(hours[-length:])
    for name, rate in (("mean", mean_rate), ("fit", fitted_rate))
    for length in (DAY, 3 * DAY, WEEK)
}
"""Straight lines: what is left ÷ a rate of the last hours."""


@dataclass(slots=True)
class Comparison:
    """Times to exhaustion in hours, case by case: what came, and what was told."""

    truths: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    lines: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in LINES})
    inside: int = 0
    took_ms: list[float] = field(default_factory=list)

    def add(self, other: "Comparison") -> None:
        self.truths += other.truths
        self.ours += other.ours
        self.inside += other.inside
        self.took_ms += other.took_ms
        for name, told in other.lines.items():
            self.lines[name] += told

    @property
    def best_line(self) -> str:
        """The one that was best here, as nobody could have known before."""
        return min(self.lines, key=lambda name: self.error(self.lines[name]))

    @property
    def ratio(self) -> float:
        """Our median error ÷ that of the best straight line."""
        return self.error(self.ours) / self.error(self.lines[self.best_line])

    def error(self, told: Sequence[float]) -> float:
        """The median absolute error in hours."""
        return statistics.median(abs(a - b) for a, b in zip(told, self.truths, strict=True))

    def relative_error(self, told: Sequence[float]) -> float:
        return statistics.median(abs(a - b) / b for a, b in zip(told, self.truths, strict=True))


def compare(hours: Sequence[int], *, origins: int, lasting: Sequence[int] = LASTING) -> Comparison:
    """Forecast from evenly spaced moments of a series, each time for several amounts that are left.

    What is not used up before the series ends is left out, for all alike.
    """
    compared = Comparison()
    sums = [0, *accumulate(hours)]
    first = min(_NEW, len(hours) // 2)
    for origin in range(first, len(hours) - 1, max((len(hours) - first) // origins, 1)):
        recent = hours[max(origin - 2 * WEEK, 0) : origin]
        for number in lasting:
            left = round(mean_rate(recent) * number)
            end = bisect_left(sums, sums[origin] + left)
            if left and end < len(sums):
                over = (sums[end] - sums[origin] - left) / hours[end - 1]
                _add_case(compared, hours[:origin][-_REMEMBERED:], left, end - origin - over)
    return compared


def _add_case(compared: Comparison, before: Sequence[int], left: int, truth: float) -> None:
    spent = [(MONDAY + number * HOUR, amount) for number, amount in enumerate(before)]
    began = time.process_time()
    forecast = forecast_exhaustion(left=left, spent_by_hour=spent, now=MONDAY + len(before) * HOUR)
    compared.took_ms.append((time.process_time() - began) * 1000)
    if forecast is None:
        raise RuntimeError(f"no forecast from {len(before)} hours")
    compared.truths.append(truth)
    compared.ours.append(_hours(forecast.expected))
    compared.inside += _hours(forecast.earliest) <= truth <= _hours(forecast.latest)
    for name, rate in LINES.items():
        a_rate = rate(before)
        compared.lines[name].append(min(left / a_rate, _LONGEST) if a_rate > 0 else _LONGEST)


def _hours(duration: timedelta | None) -> float:
    return _LONGEST if duration is None else duration / HOUR


def together(comparisons: Iterable[Comparison]) -> Comparison:
    summed = Comparison()
    for compared in comparisons:
        summed.add(compared)
    return summed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.forecast", description=__doc__)
    parser.add_argument("--series", type=int, default=3, help="of each kind that is made up")
    parser.add_argument("--origins", type=int, default=50, help="moments of each series")
    parser.add_argument(
        "--quick", action="store_true", help="one series and few moments, to see that it works"
    )
    options = parser.parse_args()
    if options.quick:
        options.series, options.origins = 1, 12
    seeds = range(options.series)
    parts: dict[str, Comparison] = {}
    results: dict[str, Comparison] = {}
    if TRACE.exists():
        parts = {
            f"  {seconds} s are an hour": compare(sliced(seconds), origins=options.origins)
            for seconds in SLICES
        }
        results["real hour in slices"] = together(parts.values())
        stretched = [compare(days_of_the_trace(seed), origins=options.origins) for seed in seeds]
        results["real hour as a day"] = together(stretched)
    for name, habits in MADE_UP.items():
        results[name] = together(compare(habits.spending(seed), origins=options.origins) for seed in seeds)
    print(f"# Forecasts, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n")
    print(f"Machine     {machine.describe()}")
    print(f"Real hour   {TRACE.name if TRACE.exists() else f'left out, since there is no {TRACE}'}")
    print(f"Origins     {options.origins} in each series at most, {options.series} series of each kind")
    print(_table(results, parts))
    _print_time(results)
    return int(any(compared.ratio >= STRAIGHT.get(name, 1) for name, compared in results.items()))


def _table(results: dict[str, Comparison], parts: dict[str, Comparison]) -> str:
    heads = ["spending", "best straight line", "ratio", "must", "ours", "line", "ours", "line"]
    heads += ["inside", "cases"]
    lines = []
    for name, compared in results.items():
        most = STRAIGHT.get(name, 1)
        lines.append(_line(name, compared, f"< {most:g}: {'met' if compared.ratio < most else 'MISSED'}"))
        if name == "real hour in slices":
            lines += [_line(part, compared, "") for part, compared in parts.items()]
    return table(
        "## Time to exhaustion: median absolute errors, in hours and relative", heads, lines, texts=2
    )


def _line(name: str, compared: Comparison, verdict: str) -> list[str]:
    line = compared.lines[compared.best_line]
    return [
        name,
        compared.best_line,
        f"{compared.ratio:.2f}",
        verdict,
        f"{compared.error(compared.ours):.2f} h",
        f"{compared.error(line):.2f} h",
        f"{compared.relative_error(compared.ours):.0%}",
        f"{compared.relative_error(line):.0%}",
        f"{compared.inside / len(compared.truths):.0%}",
        f"{len(compared.truths):,}",
    ]


def _print_time(results: dict[str, Comparison]) -> None:
    took = sorted(ms for compared in results.values() for ms in compared.took_ms)
    print(
        f"\nOne forecast: median {statistics.median(took):.1f} ms of processor time,"
        f" p99 {took[len(took) * 99 // 100]:.1f} ms, of up to eight weeks of hours"
    )


if __name__ == "__main__":
    sys.exit(main())
