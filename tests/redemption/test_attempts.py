"""How many wrong codes anybody may try."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import translation
from django_redis import get_redis_connection
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings
from redis.connection import AbstractConnection
from structlog.testing import capture_logs

from redemption.models import CodeStatus, RedemptionCode, RefusedAttempts
from redemption.services import attempts
from redemption.services.redeeming import CodeNotRedeemableError
from redemption.services.windows import OWN
from redemption.tasks import forget_attempts
from tests.factories import NOON, balance_of, make_user
from tests.redemption.guessing import MINUTE, SECOND, attempt, guess, make_codes, unknown_code
from tests.support.valkey import private_server, url_of
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db
TEN_REFUSED = ["refused"] * 10
ELSEWHERE = "198.51.100.1"


@pytest.fixture(autouse=True)
def _forget_own_windows() -> Iterator[None]:
    OWN.clear()
    yield
    OWN.clear()


@pytest.fixture(params=["with Redis", "without Redis"])
def wherever_it_is_counted(request: pytest.FixtureRequest, settings: Settings) -> None:
    if request.param == "without Redis":
        settings.REDIS_URL = ""


def windows() -> dict[str, int]:
    """The windows in Redis and how many milliseconds are left of each."""
    redis = get_redis_connection("default")
    keys = sorted(set(redis.keys("oneapi:attempts:*")) - {b"oneapi:attempts:throttled"})
    return {key.decode().removeprefix("oneapi:attempts:"): redis.pttl(key) for key in keys}


def let_windows_be_left(milliseconds: int) -> None:
    redis = get_redis_connection("default")
    for key in redis.keys("oneapi:attempts:*"):
        redis.pexpire(key, milliseconds)


def throttled(user: Any, address: str | None = "192.0.2.1") -> attempts.TooManyAttemptsError:
    with (
        pytest.raises(attempts.TooManyAttemptsError) as caught,
        attempts.counted(user=user, address=address, at=NOON),
    ):
        pass
    return caught.value


# --- Limits -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("wherever_it_is_counted")
def test_after_ten_wrong_codes_of_a_person_no_code_is_looked_at_not_even_a_good_one() -> None:
    user, [code] = make_user(), make_codes()

    tried = guess(user, 12)

    assert tried == [*TEN_REFUSED, "throttled", "throttled"]
    assert attempt(user, code, address=ELSEWHERE) == "throttled"
    assert RedemptionCode.objects.get().status == CodeStatus.ENABLED
    assert balance_of(user) == 0
    assert attempt(make_user(), code) == "redeemed", "the control: it is good for others"


@pytest.mark.usefixtures("wherever_it_is_counted")
def test_an_address_has_thirty_whoever_uses_it() -> None:
    for _person in range(3):
        assert guess(make_user(), 10) == TEN_REFUSED

    late = make_user()

    assert guess(late, 1) == ["throttled"]
    assert guess(late, 1, address=ELSEWHERE) == ["refused"]


@pytest.mark.usefixtures("wherever_it_is_counted")
def test_all_together_have_a_limit_wherever_they_are(settings: Settings) -> None:
    settings.REDEEM_FAILURES_IN_ALL = 25

    tried = [outcome for number in range(3) for outcome in guess(make_user(), 9, address=f"192.0.2.{number}")]

    assert tried == ["refused"] * 25 + ["throttled"] * 2
    assert attempt(make_user(), make_codes()[0], address=ELSEWHERE) == "throttled"


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_of_ipv6_a_network_of_64_bits_counts_as_one_address(
    settings: Settings, first: str, second: str, is_same: bool
) -> None:
    settings.REDEEM_FAILURES_PER_ADDRESS = 1

    guess(make_user(), 1, address=first)

    assert guess(make_user(), 1, address=second) == ["throttled" if is_same else "refused"]


@pytest.mark.parametrize("address", [None, "", "unix:"])
def test_without_an_address_people_do_not_share_one(settings: Settings, address: str | None) -> None:
    settings.REDEEM_FAILURES_PER_ADDRESS = 1

    assert [guess(make_user(), 1, address=address) for _person in range(3)] == [["refused"]] * 3


def test_a_throttled_attempt_takes_nothing_from_others_and_prolongs_nothing() -> None:
    user = make_user()
    guess(user, 10)
    let_windows_be_left(60_000)

    assert set(guess(user, 50)) == {"throttled"}

    assert max(windows().values()) <= 60_000
    assert guess(make_user(), 10) == TEN_REFUSED, "the address had 20 left"
    assert guess(make_user(), 11)[-1] == "throttled"


@pytest.mark.usefixtures("wherever_it_is_counted")
def test_success_typing_errors_and_faults_cost_nothing() -> None:
    user = make_user()
    for code in make_codes(12):
        assert attempt(user, code) == "redeemed"
    assert {attempt(user, typed) for typed in ["ABC"] * 12} == {"mistyped"}
    for _fault in range(12):
        with pytest.raises(ZeroDivisionError), attempts.counted(user=user, address="192.0.2.1", at=NOON):
            raise ZeroDivisionError

    assert guess(user, 11) == [*TEN_REFUSED, "throttled"]


def test_nothing_is_left_of_a_success() -> None:
    attempt(make_user(), make_codes()[0])

    assert windows() == {}


# --- Windows ----------------------------------------------------------------------------------


def test_a_window_lasts_an_hour_from_the_first_failure_on() -> None:
    user = make_user()
    with attempts.counted(user=user, address=None, at=NOON):  # an attempt that goes on for long
        let_windows_be_left(1_000)
        guess(user, 1, address=None)
        begun = windows()
        let_windows_be_left(1_000)
        guess(user, 1, address=None)
        later = windows()

    assert begun.keys() == {f"user:{user.pk}", "all"}
    assert all(3_590_000 < left <= 3_600_000 for left in begun.values())
    assert all(left <= 1_000 for left in later.values()), "a second failure prolongs nothing"
    assert windows().keys() == begun.keys(), "what is given back takes no failures away"


def test_when_the_window_is_over_codes_are_looked_at_again() -> None:
    user, [code] = make_user(), make_codes()
    guess(user, 10)
    assert attempt(user, code) == "throttled"
    let_windows_be_left(1)
    wait_until(lambda: not windows())

    assert attempt(user, code) == "redeemed"
    assert guess(user, 11) == [*TEN_REFUSED, "throttled"]


def test_who_comes_back_from_a_window_that_is_over_gives_nothing_back_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "_PATIENCE_S", 0.05)
    user = make_user()
    with attempts.counted(user=user, address=None, at=NOON):
        let_windows_be_left(1)
        wait_until(lambda: not windows())
        guess(user, 9, address=None)

    with attempts.counted(user=user, address=None, at=NOON):
        assert guess(user, 1, address=None) == ["throttled"], "the tenth place is taken"


def test_without_redis_a_window_is_over_after_an_hour_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = ""
    user, now = make_user(), 1_000.0
    monkeypatch.setattr("redemption.services.windows.time.monotonic", lambda: now)
    guess(user, 10)
    now += 3_599
    before = guess(user, 1)
    now += 2

    assert (before, guess(user, 1)) == (["throttled"], ["refused"])


# --- What is said -----------------------------------------------------------------------------


def test_which_limit_it_was_is_not_said(settings: Settings) -> None:
    user = make_user()
    guess(user, 10)
    texts = [throttled(user, ELSEWHERE).full_text]
    settings.REDEEM_FAILURES_PER_ADDRESS = 10
    texts.append(throttled(make_user()).full_text)
    settings.REDEEM_FAILURES_IN_ALL = 10
    texts.append(throttled(make_user(), ELSEWHERE).full_text)

    assert texts == [texts[0]] * 3
    assert texts[0].endswith("Wait 60 minutes, then try again.")


@pytest.mark.parametrize(
    ("seconds", "minutes", "after"),
    [(0, "1 minute,", 1), (60, "1 minute,", 60), (60.2, "2 minutes,", 61), (3600, "60 minutes,", 3600)],
)
def test_how_long_to_wait_is_said_in_minutes_that_are_enough(
    seconds: float, minutes: str, after: int
) -> None:
    with translation.override("en"):
        error = attempts.TooManyAttemptsError(seconds=seconds)

        assert error.remedy_text == f"Wait {minutes} then try again."
        assert error.retry_after_s == after


# --- What is recorded -------------------------------------------------------------------------


def test_a_person_at_an_address_has_one_row_for_ten_minutes() -> None:
    user = make_user()
    guess(user, 4, at=NOON + MINUTE)
    guess(user, 4, at=NOON + 9 * MINUTE)
    guess(user, 1, address="2001:db8::1", at=NOON + 9 * MINUTE)
    guess(user, 1, at=NOON + 10 * MINUTE)

    rows = RefusedAttempts.objects.filter(user=user).order_by("pk")

    assert list(rows.values_list("address", "slot", "refused_count", "last_at")) == [
        ("192.0.2.1", NOON, 8, NOON + 9 * MINUTE),
        ("2001:db8::/64", NOON, 1, NOON + 9 * MINUTE),
        ("192.0.2.1", NOON + 10 * MINUTE, 1, NOON + 10 * MINUTE),
    ]


def test_who_is_throttled_costs_no_statement_until_it_is_written_down(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    user, other = make_user(), make_user()
    guess(user, 10)
    guess(other, 10, address=None)
    with django_assert_num_queries(0):
        guess(user, 5)
        guess(other, 2, address=None)
        guess(other, 1, address="2001:db8::1")

    attempts.record_throttled(at=NOON + MINUTE)
    attempts.record_throttled(at=NOON + 2 * MINUTE)

    rows = RefusedAttempts.objects.order_by("user", "address")
    assert list(rows.values_list("user", "address", "refused_count", "throttled_count", "last_at")) == [
        (user.pk, "192.0.2.1", 10, 5, NOON + MINUTE),
        (other.pk, "", 10, 2, NOON + MINUTE),
        (other.pk, "2001:db8::/64", 0, 1, NOON + MINUTE),
    ]


@pytest.mark.parametrize("away", ["redis_away", "no_redis"])
def test_without_redis_who_is_throttled_is_written_down_at_once(
    settings: Settings, request: pytest.FixtureRequest, away: str
) -> None:
    if away == "no_redis":
        settings.REDIS_URL = ""
    else:
        request.getfixturevalue(away)
    user = make_user()

    guess(user, 12)
    attempts.record_throttled(at=NOON)

    assert RefusedAttempts.objects.get().throttled_count == 2


def test_success_and_typing_errors_are_not_recorded() -> None:
    attempt(make_user(), make_codes()[0])
    attempt(make_user(), "ABC")

    assert not RefusedAttempts.objects.exists()


def test_records_are_forgotten_after_thirty_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redemption.tasks._ATTEMPTS_AT_ONCE", 2)
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOON + timedelta(days=31))
    for days in (0, 0, 0, 0, 0, 2):
        guess(make_user(), 1, at=NOON + timedelta(days=days))

    forget_attempts()

    assert [row.last_at for row in RefusedAttempts.objects.all()] == [NOON + timedelta(days=2)]


@pytest.mark.django_db(transaction=True)
def test_a_refusal_that_would_be_rolled_back_with_its_record_is_a_mistake() -> None:
    user = make_user()

    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        attempt(user, unknown_code())


def test_an_attempt_that_succeeds_costs_two_round_trips_to_redis_and_no_statement(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    user, sent = make_user(), []
    send = AbstractConnection.send_packed_command

    def count(self: AbstractConnection, command: Any, **options: Any) -> None:
        sent.append(command)
        send(self, command, **options)

    with attempts.counted(user=user, address="192.0.2.1", at=NOON):
        pass
    monkeypatch.setattr(AbstractConnection, "send_packed_command", count)
    with django_assert_num_queries(0), attempts.counted(user=user, address="192.0.2.1", at=NOON):
        pass

    assert len(sent) == 2


# --- While Redis is away ----------------------------------------------------------------------


@pytest.fixture
def redis_away(settings: Settings, tmp_path: Path) -> None:
    location = f"unix://{tmp_path / 'nobody.sock'}?db=0"
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": location}}


@pytest.mark.usefixtures("redis_away")
def test_while_redis_is_away_codes_can_be_redeemed_and_not_guessed() -> None:
    user = make_user()

    with capture_logs() as logs:
        assert attempt(user, make_codes()[0]) == "redeemed"
    tried = guess(user, 11)

    assert tried == [*TEN_REFUSED, "throttled"]
    assert [(line["event"], line["log_level"]) for line in logs if "attempt" in line["event"]] == [
        ("redemption.attempt_not_shared", "warning")
    ]


@pytest.mark.parametrize(
    ("person", "address", "at", "expected"),
    [
        ("same", ELSEWHERE, NOON, "throttled"),
        ("other", "192.0.2.1", NOON, "throttled"),
        ("other", ELSEWHERE, NOON, "refused"),
        ("same", "192.0.2.1", NOON + 61 * MINUTE, "refused"),
    ],
)
def test_when_redis_goes_away_what_was_refused_before_counts(
    settings: Settings,
    request: pytest.FixtureRequest,
    person: str,
    address: str,
    at: Any,
    expected: str,
) -> None:
    settings.REDEEM_FAILURES_PER_ADDRESS = 10
    user = make_user()
    guess(user, 10)
    request.getfixturevalue("redis_away")
    who = {"same": user, "other": make_user()}[person]

    assert guess(who, 1, address=address, at=at) == [expected]


def test_while_redis_is_away_all_together_have_their_limit_too(
    settings: Settings, request: pytest.FixtureRequest
) -> None:
    settings.REDEEM_FAILURES_IN_ALL = 10
    guess(make_user(), 10)
    request.getfixturevalue("redis_away")

    assert guess(make_user(), 1, address=ELSEWHERE) == ["throttled"]


def test_a_redis_that_goes_away_in_between_spoils_no_success(settings: Settings) -> None:
    user, [code] = make_user(), make_codes()
    with private_server() as server:
        settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": url_of(server)}}
        with attempts.counted(user=user, address=None, at=NOON):
            server.stop()

    assert attempt(user, code) == "redeemed"
    with pytest.raises(CodeNotRedeemableError), attempts.counted(user=user, address=None, at=NOON + SECOND):
        raise CodeNotRedeemableError


def test_an_answer_does_not_depend_on_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user()
    with connection.execute_wrapper(_refuse_writing_attempts):
        tried = guess(user, 11)

    assert tried == [*TEN_REFUSED, "throttled"]
    assert not RefusedAttempts.objects.exists()


def _refuse_writing_attempts(execute: Any, sql: str, *rest: Any) -> Any:
    from django.db import OperationalError

    if "INSERT" in sql and "refusedattempts" in sql:
        raise OperationalError("disk full")
    return execute(sql, *rest)
