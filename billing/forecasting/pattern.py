"""How an hour of the week compares with the mean hour."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate, groupby
from statistics import fmean
from typing import TypeVar

from billing.forecasting.history import HOURS_OF_DAY, HOURS_OF_WEEK

_Key = TypeVar("_Key", bound=Hashable)

_ENOUGH_OF_A_DAY = 20
"""Hours; the first and the last day of a history may be parts."""
_FLAT = [1.0] * HOURS_OF_WEEK


def week_pattern(spent: Sequence[float], hours_of_week: Sequence[int]) -> list[float]:
    """Factors for the 168 hours of a week, with a mean of 1.

    An hour of the week is estimated as that hour of any day times that day of the week, and those as flat,
    except as far as the same hours of different weeks agree on something else.
    """
    relative = _without_level(spent)
    usual = _without_bursts(relative, hours_of_week)
    mean = fmean(usual)
    if not mean:
        return _FLAT
    by_hour = defaultdict(list)
    by_cell = defaultdict(list)
    for cell, value in zip(hours_of_week, usual, strict=True):
        by_hour[cell % HOURS_OF_DAY].append(value)
        by_cell[cell].append(value)
    of_hour = _believed(by_hour, dict.fromkeys(range(HOURS_OF_DAY), mean))
    by_day = _days(usual, hours_of_week, of_hour)
    of_day = _believed(by_day, dict.fromkeys(range(7), 1.0))
    expected = {
        cell: of_hour[cell % HOURS_OF_DAY] * of_day[cell // HOURS_OF_DAY] for cell in range(HOURS_OF_WEEK)
    }
    of_cell = _believed(by_cell, expected)
    bursts = fmean(relative) - mean  # they come at any hour
    factors = [max(of_cell[cell], 0.0) + bursts for cell in range(HOURS_OF_WEEK)]
    middle = fmean(factors)
    return [factor / middle for factor in factors]


def _without_level(spent: Sequence[float]) -> list[float]:
    """Each hour relative to the mean of the week around it; of the day, until there are two weeks."""
    count = len(spent)
    span = min(count, HOURS_OF_WEEK if count >= 2 * HOURS_OF_WEEK else HOURS_OF_DAY)
    sums = [0.0, *accumulate(spent)]
    relative = []
    for index, value in enumerate(spent):
        begin = min(max(index - span // 2, 0), count - span)
        around = (sums[begin + span] - sums[begin]) / span
        relative.append(value / around if value and around else 0.0)
    return relative


def _without_bursts(relative: Sequence[float], hours_of_week: Sequence[int]) -> list[float]:
    """No hour is taken for more than the same hour of another week, or than one hour in fifty."""
    by_cell = defaultdict(list)
    for cell, value in zip(hours_of_week, relative, strict=True):
        by_cell[cell].append(value)
    rare = nearly_highest(relative)
    most = {
        cell: sorted(values)[-2] if len(values) >= 3 else rare  # the second highest of them
        for cell, values in by_cell.items()
    }
    return [min(value, most[cell]) for cell, value in zip(hours_of_week, relative, strict=True)]


def nearly_highest(values: Sequence[float]) -> float:
    """What one value in fifty exceeds, and always the highest one."""
    return sorted(values)[max(len(values) - 2 - len(values) // 50, 0)]


def _days(
    usual: Sequence[float], hours_of_week: Sequence[int], of_hour: Mapping[int, float]
) -> dict[int, list[float]]:
    """What whole days came to, relative to their hours; by day of the week."""
    by_day = defaultdict(list)
    hours = zip(hours_of_week, usual, strict=True)
    for day, of_day in groupby(hours, lambda hour: hour[0] // HOURS_OF_DAY):
        whole = list(of_day)
        expected = sum(of_hour[cell % HOURS_OF_DAY] for cell, _value in whole)
        if len(whole) >= _ENOUGH_OF_A_DAY and expected:
            by_day[day].append(sum(value for _cell, value in whole) / expected)
    return by_day


def _believed(seen: Mapping[_Key, Sequence[float]], expected: Mapping[_Key, float]) -> dict[_Key, float]:
    """Means of groups, drawn towards what was expected by the part of their differences that is chance.

    As James and Stein do it: chance is told from how the values within a group differ.
    """
    means = {key: fmean(values) for key, values in seen.items() if len(values) > 1}
    if not means:
        return dict(expected)
    chance = fmean([_variance_of_mean(seen[key], mean) for key, mean in means.items()])
    differences = fmean([(mean - expected[key]) ** 2 for key, mean in means.items()])
    belief = max(1 - chance / differences, 0.0) if differences else 0.0
    return {key: value + belief * (means.get(key, value) - value) for key, value in expected.items()}


def _variance_of_mean(values: Sequence[float], mean: float) -> float:
    count = len(values)
    return sum((value - mean) ** 2 for value in values) / (count - 1) / count
