"""Waits are understood in all the ways in which providers tell them."""

import json
from typing import Any

import pytest

from billing.upstream.diagnoses.bodies import read_body
from billing.upstream.diagnoses.delays import BEIJING, LONGEST_S, read_delay, seconds_of
from billing.upstream.diagnoses.diagnosing import diagnose
from tests.factories import NOON

NOON_S = int(NOON.timestamp())


def delay(body: Any = None, **headers: str) -> float | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_delay(named, read_body(json.dumps(body)), at=NOON)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("2.9", 2.9),
        (3, 3),
        ("0", 0),
        ("-5", -5),
        (str(NOON_S + 60), 60),
        (str((NOON_S + 60) * 1000), 60),
        ("12ms", 0.012),
        ("6m0s", 360),
        ("1h2m3s", 3723),
        ("2m59.56s", 179.56),
        ("539.477544ms", 0.539477544),
        ("1d", 86_400),
        ("250us", 0.00025),
        ("2026-03-02T12:00:30Z", 30),
        ("2026-03-02T12:00:30.123456789Z", 30.123456),
        ("2026-03-02T13:00:30+01:00", 30),
        ("Mon, 02 Mar 2026 12:01:00 GMT", 60),
        ("nan", None),
        ("1_000", None),
        ("soon", None),
        ("", None),
        ("5 apples", None),
        ("٣", None),
        (None, None),
        (True, None),
        ([3], None),
        (10**400, None),
        ("2026-13-45", None),
        ("Mon, 99 Mar 2026 12:01:00 GMT", None),
        ("9" * 60 + "s", None),
    ],
)
def test_a_value_says_when_in_any_unit(value: Any, seconds: float | None) -> None:
    found = seconds_of(value, at=NOON)

    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 174ms. Visit", 0.174),
        ("Please try again in 9.816s.", 9.816),
        ("Please try again in 9m38.016s.", 578.016),
        ("please try again after 4 seconds", 4),
        ("Please retry after 37 seconds.", 37),
        ("Please retry in 26.2s.", 26.2),
        ("Try again in 2 minutes", 120),
        ("wait 30 seconds", 30),
        ("Quota will be replenished in 02:30:00.", 9000),
        ("Your quota will reset after 19h14m47s.", 69_287),
        ("limit reached, resets at 2026-03-02T15:00:00Z (2056)", 3 * 3600),
        ("You will regain access on 2026-03-02 at 18:00 UTC.", 6 * 3600),
        ("Your limit will reset at 2026-03-02 13:00:00", 3600),
        ("请在 30 秒后重试", 30),
        ("请5分钟后再试", 300),
        ("Your quota will reset after 0s.", None),
        ("Limit 30000, Used 18928, Requested 11159.", None),
        ("try again later", None),
        ("resets at 2020-01-01T00:00:00Z", None),
        ("resets at 2026-99-99", None),
    ],
)
def test_a_message_says_when_in_words(message: str, seconds: float | None) -> None:
    found = delay({"error": {"message": message}})

    assert found == (None if seconds is None else pytest.approx(seconds))


def test_what_is_said_more_exactly_comes_first() -> None:
    body = {
        "error": {
            "message": "resets at 2026-03-02T12:00:04Z, try again in 5s",
            "details": [{"retryDelay": "3s"}],
        }
    }

    every = {"retry_after_ms": "1000", "retry_after": "2", "x_ratelimit_reset": "6"}
    found = [
        delay(body, **every),
        delay(body, retry_after="2", x_ratelimit_reset="6"),
        delay(body, x_ratelimit_reset="6"),
        delay({"error": {"message": body["error"]["message"]}}, x_ratelimit_reset="6"),
        delay({"error": {"message": "try again in 5s"}}, x_ratelimit_reset="6"),
        delay({"error": {"message": "m"}}, x_ratelimit_reset="6"),
        delay({"error": {"message": "m"}}),
    ]

    assert found == [1, 2, 3, 4, 5, 6, None]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset-requests": "2s", "x-ratelimit-remaining-requests": "0"}, 2),
        (
            {
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
            },
            360,
        ),
        (  # what is left is not what was hit
            {
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-tokens": "6m0s",
                "x-ratelimit-remaining-tokens": "100",
            },
            2,
        ),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "100"}, None),
        (
            {
                "anthropic-ratelimit-requests-reset": "2026-03-02T12:00:09Z",
                "anthropic-ratelimit-requests-remaining": "0",
            },
            9,
        ),
        ({"x-ratelimit-reset-requests": str(NOON_S + 8), "x-ratelimit-remaining-requests": "0"}, 8),
        ({"x-ratelimit-reset": "0.25"}, 0.25),
        ({"x-ratelimit-reset": str((NOON_S + 8) * 1000)}, 8),
        ({"ratelimit-reset": "8"}, 8),
        # Azure's Responses API: negatives are unknown
        ({"x-ratelimit-reset-tokens": "0", "x-ratelimit-remaining-tokens": "-1"}, None),
        ({"x-ratelimit-reset-tokens": "9", "x-ratelimit-remaining-tokens": "-1"}, None),
        ({"retry-after": "0", "x-ratelimit-reset": "4"}, 4),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "Mon, 02 Mar 2026 11:00:00 GMT"}, None),
        ({"retry-after": "410400"}, LONGEST_S),
        ({"retry-after": "inf"}, LONGEST_S),
        ({"retry-after-ms": "0", "retry-after": "3"}, 3),
        ({"retry-after-ms": "1500"}, 1.5),
    ],
)
def test_headers_say_when_for_the_limit_that_was_hit(headers: dict[str, str], seconds: float | None) -> None:
    assert read_delay(headers, read_body(b""), at=NOON) == seconds


def test_moments_without_a_zone_are_of_the_provider() -> None:
    body = read_body(json.dumps({"error": {"message": "Your limit will reset at 2026-03-02 21:00:00"}}))

    assert read_delay({}, body, at=NOON, zone=BEIJING) == 3600


def test_headers_that_openrouter_copies_into_the_body_count() -> None:
    copied = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str((NOON_S + 90) * 1000)}

    assert delay({"error": {"message": "m", "metadata": {"headers": copied}}}) == 90


@pytest.mark.parametrize("told", ["0s", "0.5s", "3s", ""])
def test_an_exhausted_capacity_is_never_tried_again_in_a_tight_loop(told: str) -> None:
    message = f"You have exhausted your capacity on this model. Your quota will reset after {told}."

    body = json.dumps({"error": {"message": message, "details": [{"retryDelay": told}]}})

    assert diagnose(status=429, body=body, at=NOON).retry_after_s == 10


def test_waits_are_rounded_up_so_that_nobody_is_early() -> None:
    found = [diagnose(status=429, body=b"", headers={"retry-after": s}, at=NOON) for s in ("0.2", "2.1", "2")]

    assert [one.retry_after_s for one in found] == [1, 3, 2]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ("1", "1 second"),
        ("119", "119 seconds"),
        ("120", "2 minutes"),
        ("3541", "60 minutes"),
        ("14400", "until 2026-03-02 16:00 (UTC)"),
    ],
)
def test_people_read_how_long_it_lasts(seconds: str, words: str) -> None:
    assert diagnose(status=429, body=b"", headers={"retry-after": seconds}, at=NOON).lasts == words


def test_a_limit_of_the_month_ends_with_it_and_is_asked_about_after_a_day() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}
    body["error"]["details"] = {"error_code": "enforced_spend_limit_reached"}

    diagnosis = diagnose(status=429, body=json.dumps(body), headers={"x-ratelimit-reset": "3"}, at=NOON)

    assert diagnosis.lasts == "until 2026-04-01 00:00 (UTC)"
    assert diagnosis.retry_after_s == LONGEST_S


def test_money_that_is_gone_does_not_come_back_by_waiting() -> None:
    body = b'{"error": {"code": "insufficient_quota", "message": "try again in 20s"}}'

    diagnosis = diagnose(status=429, body=body, headers={"retry-after": "20"}, provider="openai", at=NOON)

    assert (diagnosis.retry_after_s, diagnosis.is_retryable) == (None, False)


@pytest.mark.parametrize("blank", [" ", "   ", "\n\n", "\t" * 1_000])
@pytest.mark.parametrize(
    "words", ["reset at 2026-03-02 at 12:00:20 utc", "try again in 20 seconds", "replenished in 0:00:20"]
)
def test_blanks_of_any_length_stand_between_words(words: str, blank: str) -> None:
    said = words.replace(" ", blank)

    body = read_body(json.dumps({"error": {"message": said}}))

    assert "  " not in body.said
    assert read_delay({}, body, at=NOON) == 20
