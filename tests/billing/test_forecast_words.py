"""Forecasts as people read them."""

from datetime import timedelta

import pytest
from django.template import Context, Template

from billing.forecast_words import runs_out_text
from billing.forecasting import Forecast
from tests.factories import NOON


def forecast(expected: float | None, earliest: float | None, latest: float | None) -> Forecast:
    """In hours."""
    ends = [None if hours is None else timedelta(hours=hours) for hours in (expected, earliest, latest)]
    return Forecast(expected=ends[0], earliest=ends[1], latest=ends[2])


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (None, ""),
        (forecast(0, 0, 0), "has run out"),
        (forecast(2.2, 1.5, 4.4), "runs out in about 2 h (2–4 h)"),
        (forecast(2.2, 0.9, 4.4), "runs out in about 2 h (1–4 h)"),
        (forecast(2.2, 0.7, 4.4), "runs out in about 2 h (40 min to 4 h)"),
        (forecast(2.2, 0.8, 200), "runs out in about 2 h (1 h to 8 days)"),
        (forecast(0.01, 0.001, 0.06), "runs out in about 1 min (1–4 min)"),
        (forecast(0.7, 0.4, 1.2), "runs out in about 40 min (25–70 min)"),
        (forecast(0.7, 0.4, 0.9), "runs out in about 40 min (25–55 min)"),
        (forecast(0.94, 0.94, 1.8), "runs out in about 55 min (55 min to 2 h)"),
        (forecast(0.96, 0.9, 1.8), "runs out in about 1 h (1–2 h)"),
        (forecast(1.5, 1.5, 1.6), "runs out in about 2 h"),
        (forecast(30, 20, 47), "runs out in about 30 h (20–47 h)"),
        (forecast(48, 40, 120), "runs out in about 2 days (2–5 days)"),
        (forecast(48, 12, 120), "runs out in about 2 days (12 h to 5 days)"),
        (forecast(72, 50, 120), "runs out in about 3 days (2–5 days)"),
        (forecast(72, 70, 74), "runs out in about 3 days"),
        (forecast(72, 50, None), "runs out in about 3 days (2 days or longer)"),
        (forecast(72, 50, 29 * 24), "runs out in about 3 days (2 days or longer)"),
        (forecast(28 * 24, 600, None), "runs out in about 28 days (25 days or longer)"),
        (forecast(29 * 24, 10 * 24, 60 * 24), "runs out in 10 days at the earliest"),
        (forecast(None, 30, None), "runs out in 30 h at the earliest"),
        (forecast(None, 29 * 24, None), "lasts longer than 4 weeks"),
        (forecast(None, None, None), "lasts longer than 4 weeks"),
    ],
)
def test_a_forecast_is_told_as_exactly_as_it_makes_sense(told: Forecast | None, text: str) -> None:
    assert runs_out_text(told) == text


def shown(told: Forecast | None) -> str:
    page = Template("{% load forecasts %}{% runs_out forecast at %}")
    return page.render(Context({"forecast": told, "at": NOON}))


def test_on_pages_it_is_a_sentence_with_the_points_in_time_and_marked_when_it_is_soon() -> None:
    soon, later = shown(forecast(2, 1, 4)), shown(forecast(72, 50, 120))

    assert "Runs out in about 2 h (1–4 h)</span>" in soon
    assert "from 2026-03-02 13:00 to 2026-03-02 16:00" in soon
    assert ("runs-out-soon" in soon, "runs-out-soon" in later) == (True, False)


@pytest.mark.parametrize("told", [forecast(None, 30, None), forecast(0, 0, 0)])
def test_without_points_in_time_none_are_told(told: Forecast) -> None:
    assert 'title="If spending goes on as it used to."' in shown(told)


def test_what_is_not_known_is_not_shown() -> None:
    assert shown(None) == ""
