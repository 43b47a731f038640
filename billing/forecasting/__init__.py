"""Tells when what is left will be spent, from what was spent hour by hour.

Spending is taken as a level times a pattern of the week, and both are learned from the last eight weeks.

**The pattern** (``pattern``) says how an hour of the week compares with the mean hour. It is believed as far
as weeks repeat themselves: with a day of history it is flat, with a few days it has hours of the day, and
from the third week on a Monday can be unlike other days.

**The level** (``levels``) is what a mean hour costs at present. Several memories of different length follow
it; what one hour can do to them is bounded, so that a burst passes and a change that lasts is followed within
a day. Each memory counts by how right it would have been before, for each distance ahead by itself.

**The interval** is what happened after such forecasts in the past: eight of ten outcomes were inside.

Pure functions of their arguments. Amounts become shares of what was spent before any statistics are made of
them: floats are shares and hours here, never money.
"""

from billing.forecasting.exhaustion import HORIZON, Forecast, forecast_exhaustion
from billing.forecasting.history import MINIMUM_HOURS

__all__ = ["HORIZON", "MINIMUM_HOURS", "Forecast", "forecast_exhaustion"]
