"""What a mean hour costs at present, and how wrong that would have been before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from statistics import fmean

from billing.forecasting.history import HOURS_OF_DAY
from billing.forecasting.pattern import nearly_highest

_MEMORIES = (3, 10, 40, 200)
"""Hours after which something counts half. The second one is the anchor: longer ones have to stay near to it,
so that they follow what lasts."""
_DISTANCES = (1, 3, 6, 12, 24, 48, 96, 168, 336)
"""Hours ahead for which past forecasts are looked at."""
_UNKNOWN = (0.4, 0.4, 1.0, 1.0, 2.5, 2.5)
"""Outcomes beside those that were seen: what a forecast is worth without a history."""
_LOW, _MIDDLE, _HIGH = 0.08, 0.5, 0.92
"""A little more than the eight outcomes of ten, since the pattern was learned from the same weeks."""
_FARTHEST = 3.0
"""Times the usual distance (of logarithms) from the anchor."""
_TINY = 1e-6
_SLIGHT = 0.01
"""Of the mean hour: levels below do not count as different."""
_LOWEST_BOUND = 0.3
"""The level below which bursts are bounded as if it were that, so that it can rise again."""
_USUAL_BURST = 3.0
"""Times the level: hours up to that are always taken for what they are."""
_NOISE = 0.3
"""The logarithm of an error on one side that is only half a reason to correct what comes next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a mean hour will cost, on average until ``hours`` from now."""

    hours: int
    low: float
    middle: float
    high: float


def outlooks(
    spent: Sequence[float], pattern: Sequence[float], *, running: float, portion: float
) -> list[Outlook]:
    """
    :param pattern: of the complete hours in ``spent``
    :param running: spent in the hour under way
    :param portion: of the pattern that this hour has behind it
    :returns: one at least, by ascending distance
    """
    spent_sums = [0.0, *accumulate(spent)]
    pattern_sums = [0.0, *accumulate(pattern)]
    memories = _memories([*spent, running], [*pattern, portion])
    count = len(spent)
    first = min(HOURS_OF_DAY, count // 2)
    found: list[Outlook] = []
    for hours in _DISTANCES:
        if found and hours > (count - first) * 0.6:
            break
        stride = max(min(count // 100, 3), hours // 6, 1)
        origins = range(count - hours, first - 1, -stride)
        actual = [spent_sums[at + hours] - spent_sums[at] for at in origins]
        usual = [pattern_sums[at + hours] - pattern_sums[at] for at in origins]
        past = [[memory[at] * sum_ for at, sum_ in zip(origins, usual, strict=True)] for memory in memories]
        weights = _shares([_weight(actual, forecasts) for forecasts in past])
        mixed = [_sum_of_products(weights, forecasts) for forecasts in zip(*past, strict=True)]
        level = _sum_of_products(weights, [memory[-1] for memory in memories])
        found.append(_outlook(hours, level, actual, mixed))
    return found


def _memories(spent: Sequence[float], pattern: Sequence[float]) -> list[list[float]]:
    """The level before each hour and after the last one, as each memory has it."""
    burst = max(nearly_highest([_ratio(*hour) for hour in zip(spent, pattern, strict=True)]), _USUAL_BURST)
    start = _ratio(sum(spent[:HOURS_OF_DAY]), sum(pattern[:HOURS_OF_DAY]))
    memories = [_followed(spent, pattern, half_life, burst, start) for half_life in _MEMORIES]
    quick, anchor, *longer = memories
    return [quick, anchor, *(_anchored(memory, anchor) for memory in longer)]


def _followed(
    spent: Sequence[float], pattern: Sequence[float], half_life: int, burst: float, level: float
) -> list[float]:
    gain = 1 - 0.5 ** (1 / half_life)
    levels = [level]
    for amount, factor in zip(spent, pattern, strict=True):
        usual = level * factor
        most = burst * (usual if level > _LOWEST_BOUND else _LOWEST_BOUND * factor)
        step = gain if gain * factor <= 0.5 else 0.5 / factor
        level += step * (min(amount, most) - usual)
        levels.append(level)
    return levels


def _anchored(memory: Sequence[float], anchor: Sequence[float]) -> list[float]:
    """A memory that is never much further from the anchor than it usually was."""
    pairs = [(level + _SLIGHT, near + _SLIGHT) for level, near in zip(memory, anchor, strict=True)]
    apart = sorted(abs(math.log(level / near)) for level, near in pairs[len(pairs) % 3 :: 3])
    most = math.exp(_FARTHEST * _quantile(apart, 0.5))
    return [sorted((near / most, level, near * most))[1] - _SLIGHT for level, near in pairs]


def _weight(actual: Sequence[float], forecasts: Sequence[float]) -> float:
    """The better by far the less a memory's forecasts were wrong."""
    errors = [abs(was - told) / (was + told + _TINY) for was, told in zip(actual, forecasts, strict=True)]
    return (fmean(errors) + _SLIGHT) ** -8 if errors else 1.0


def _shares(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


def _sum_of_products(weights: Sequence[float], values: Sequence[float]) -> float:
    total: float = sum(map(mul, weights, values))
    return total


def _outlook(hours: int, level: float, actual: Sequence[float], forecasts: Sequence[float]) -> Outlook:
    seen = [(was + _SLIGHT) / (told + _SLIGHT) for was, told in zip(actual, forecasts, strict=True)]
    outcomes = sorted([*seen, *_UNKNOWN])
    low, middle, high = (_quantile(outcomes, share) for share in (_LOW, _MIDDLE, _HIGH))
    middle = min(max(_correction(middle), low), high)
    return Outlook(hours=hours, low=level * low, middle=level * middle, high=level * high)


def _correction(ratio: float) -> float:
    """Little of what can be chance, nearly all of what cannot."""
    wrong = math.log(ratio)
    return math.exp(wrong**3 / (wrong**2 + _NOISE**2))


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def _ratio(amount: float, factor: float) -> float:
    return amount / factor if factor else 0.0
