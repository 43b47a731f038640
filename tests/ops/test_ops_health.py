import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings
from redis import Redis

from accounts.models import AuditLogCheck, User
from billing.models import AuditRun, WebhookEvent
from billing.services import holds, webhooks
from billing.services.calls import admit
from oneapi_admin.celery import app
from oneapi_admin.health import stores
from oneapi_admin.health.lines import Line, State
from oneapi_admin.lib import vitals
from oneapi_admin.tasks import note_worker
from tests.factories import admit_request, make_token, make_user, make_webhook
from tests.ops.health import tell, tell_all_is_well, tell_relay

URL = "/ops/health/"
pytestmark = pytest.mark.usefixtures("store")


def lines(client: Client) -> dict[str, Line]:
    return {line.code: line for line in client.get(URL).context["report"].lines}


def test_an_installation_in_order_says_so_line_by_line(admin_client: Client) -> None:
    tell_all_is_well()

    answer = admin_client.get(URL)

    assert answer.context["report"].state == State.OK
    assert "Everything is in order" in answer.content.decode()
    assert {line.code: line.value for line in answer.context["report"].lines}["relay"] == "1 process"
    assert all(line.value and not line.advice for line in answer.context["report"].lines)


def test_the_page_is_not_kept_by_browsers(admin_client: Client) -> None:
    assert "no-store" in admin_client.get(URL).headers["Cache-Control"]


# --- Relay processes --------------------------------------------------------------------------


def test_no_relay_process_at_all_is_an_error_that_says_what_to_start(admin_client: Client) -> None:
    line = lines(admin_client)["relay"]

    assert (line.state, line.value) == (State.ERROR, "0 processes")
    assert "“web”" in line.advice


def test_a_process_that_fell_silent_is_shown_as_silent(admin_client: Client) -> None:
    tell_relay(1)
    tell_relay(2, seconds_ago=16)

    answer = admin_client.get(URL)

    assert [process.is_silent for process in answer.context["report"].processes] == [False, True]
    assert answer.content.decode().count("Silent") == 1
    line = lines(admin_client)["relay"]
    assert (line.state, line.value) == (State.WARNING, "1 process, 1 silent")


def test_who_was_silent_for_ten_minutes_is_forgotten(admin_client: Client, store: Redis) -> None:
    tell_relay(1)
    tell_relay(2, seconds_ago=601)

    answer = admin_client.get(URL)

    assert [process.pid for process in answer.context["report"].processes] == [1]
    assert store.hkeys("oneapi:vitals") == [b"relay/alpha:1"]


def test_who_took_leave_is_not_missed(admin_client: Client) -> None:
    tell_relay(1)
    tell_relay(2)
    vitals.withdraw("relay", "alpha:2")

    line = lines(admin_client)["relay"]

    assert (line.state, line.value) == (State.OK, "1 process")


def test_a_process_without_a_journal_is_an_error(admin_client: Client) -> None:
    tell_relay(1)
    tell_relay(2, has_journal=False, capacity=0, used=0, in_flight=0)

    answer = admin_client.get(URL)

    line = lines(admin_client)["relay"]
    assert (line.state, line.value) == (State.ERROR, "2 processes, 1 without a journal")
    assert "No journal" in answer.content.decode()


def test_processes_of_different_versions_are_a_warning(admin_client: Client) -> None:
    tell_relay(1)
    tell_relay(2, version="0.0.1")

    assert lines(admin_client)["relay"].state == State.WARNING


def test_a_process_of_another_version_may_tell_less_and_more(admin_client: Client) -> None:
    told = {"host": "alpha", "pid": 1, "version": "0.0.1", "started_at": time.time(), "a_new_thing": 5}
    tell("relay", "alpha:1", told)

    line = lines(admin_client)["relay"]

    assert (line.state, line.value) == (State.OK, "1 process")


# --- The journals -----------------------------------------------------------------------------


def test_calls_that_wait_are_counted_over_all_processes_that_live(admin_client: Client) -> None:
    tell_relay(1, waiting=3, waited=5)
    tell_relay(2, waiting=4, waited=2)
    tell_relay(3, waiting=100, waited=700, seconds_ago=20)

    line = lines(admin_client)["journal"]

    assert (line.state, line.facts["waiting"]) == (State.OK, 7)
    assert line.value.startswith("7 calls, for ")


def test_calls_of_dead_processes_are_counted_once_for_each_machine(admin_client: Client) -> None:
    tell_relay(1, abandoned=5, waited=1)
    tell_relay(2, abandoned=5, waited=1)
    tell_relay(1, host="beta", abandoned=2, waited=1)

    assert lines(admin_client)["journal"].facts["waiting"] == 7


@pytest.mark.parametrize(
    ("facts", "state", "advice"),
    [
        ({"waiting": 1, "waited": 20}, State.OK, ""),
        ({"waiting": 1, "waited": 31}, State.WARNING, "Nothing is lost"),
        ({"waiting": 1, "waited": 601}, State.ERROR, "Do not delete JOURNAL_DIR"),
        ({"waiting": 80, "used": 81, "waited": 31}, State.ERROR, "before the journals are full"),
        ({"in_flight": 81, "used": 81}, State.WARNING, "RELAY_MAX_CALLS"),
    ],
)
def test_the_longer_calls_wait_the_worse_it_is(
    admin_client: Client, facts: dict[str, Any], state: State, advice: str
) -> None:
    tell_relay(**facts)

    line = lines(admin_client)["journal"]

    assert line.state == state
    assert advice in line.advice
    assert bool(line.advice) == bool(advice)


# --- Jobs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["worker", "beat"])
@pytest.mark.parametrize(
    ("seconds_ago", "state", "value"),
    [
        (40, State.OK, "seen 4"),
        (70, State.WARNING, "seen 7"),
        (605, State.ERROR, "not seen for ten minutes"),
    ],
)
def test_worker_and_scheduler_are_missed_after_a_minute(
    admin_client: Client, code: str, seconds_ago: float, state: State, value: str
) -> None:
    tell(code, "alpha", seconds_ago=seconds_ago)

    line = lines(admin_client)[code]

    assert line.state == state
    assert line.value.startswith(value)
    assert bool(line.advice) == (state != State.OK)


def test_what_beat_asks_for_shows_both_that_it_asks_and_who_does_it(
    admin_client: Client, settings: Settings
) -> None:
    asked = settings.CELERY_BEAT_SCHEDULE["note-worker"]

    app.send_task(asked["task"], **asked["options"])
    before = lines(admin_client)
    note_worker.apply()

    assert (before["beat"].state, before["worker"].state) == (State.OK, State.ERROR)
    assert lines(admin_client)["worker"].state == State.OK


def test_jobs_that_pile_up_are_a_warning(admin_client: Client, store: Redis) -> None:
    tell("worker", "alpha")
    store.rpush("oneapi-celery:celery", *range(201))

    line = lines(admin_client)["worker"]

    assert (line.state, line.advice) == (State.WARNING, "Jobs pile up: start more workers.")
    assert "201 jobs wait" in line.value


# --- Stores -----------------------------------------------------------------------------------


@pytest.fixture
def mute_redis(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """Where Redis should be, somebody takes connections and says nothing."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        settings.REDIS_URL = f"unix://{tmp_path / 's'}?db=0"
        vitals._client.cache_clear()
        yield


def test_a_redis_that_is_away_is_told_within_two_seconds(root_client: Client, mute_redis: None) -> None:
    tell_relay(waiting=3, waited=1)
    began = time.monotonic()

    found = lines(root_client)

    assert time.monotonic() - began < 1.5
    assert (found["redis"].state, found["redis"].value) == (State.ERROR, "does not answer")
    assert (found["worker"].value, found["beat"].value) == ("not known", "not known")
    assert (found["relay"].state, found["relay"].value) == (State.WARNING, "1 process")
    assert found["journal"].facts["waiting"] == 3, "this process knows at least itself"


def test_without_any_redis_a_process_knows_itself(root_client: Client, settings: Settings) -> None:
    settings.REDIS_URL = ""
    vitals._client.cache_clear()
    tell_relay(waiting=3, waited=1)

    found = lines(root_client)

    assert (found["redis"].state, found["redis"].value) == (State.WARNING, "none")
    assert found["journal"].facts["waiting"] == 3
    assert "worker" not in found


def test_little_room_on_the_disk_is_a_warning_and_none_an_error(
    root_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "_LITTLE_ROOM", 1 << 60)
    little = lines(root_client)["disk_data"]
    monkeypatch.setattr(stores, "_NO_ROOM", 1 << 60)
    none = lines(root_client)["disk_data"]

    assert (little.state, none.state) == (State.WARNING, State.ERROR)
    assert "Make room" in little.advice


def test_a_journal_folder_that_is_not_there_yet_is_looked_for_above(
    root_client: Client, settings: Settings
) -> None:
    settings.JOURNAL_DIR = Path("/proc/nowhere/journal")

    assert lines(root_client)["disk_journal"].facts["total_bytes"] == 0


# --- Records ----------------------------------------------------------------------------------


def test_holds_that_nobody_gives_back_are_a_warning(root_client: Client) -> None:
    made = make_token(make_user(balance=1_000))
    now = timezone.now()
    admit(
        requests=[
            admit_request(made, request_id=f"r{age}", expires_at=now - timedelta(seconds=age))
            for age in (-60, 30, 90)
        ],
        at=now - timedelta(minutes=10),
    )

    late = lines(root_client)["holds"]
    holds.expire(at=timezone.now())
    given_back = lines(root_client)["holds"]

    assert (late.state, late.value) == (State.WARNING, "3 open, 1 older than the longest call")
    assert (given_back.state, given_back.value) == (State.OK, "1 open")


def test_deliveries_that_nobody_sends_are_a_warning(root_client: Client) -> None:
    make_webhook()
    for age in (30, 90):
        with transaction.atomic():
            at = timezone.now() - timedelta(seconds=age)
            webhooks.emit(event=WebhookEvent.TOPUP_CREATED, data={}, at=at)

    line = lines(root_client)["webhooks"]

    assert (line.state, line.value) == (State.WARNING, "2 deliveries wait, 1 longer than it should")


def audit_of(*broken: str, hours_ago: float = 1) -> None:
    at = timezone.now() - timedelta(hours=hours_ago)
    checks = [{"code": code, "checked": 1, "broken": 1, "broken_ids": [1]} for code in broken]
    AuditRun.objects.create(started_at=at, finished_at=at, is_clean=not broken, checks=checks)


def test_the_last_audit_of_the_ledger_counts(root_client: Client) -> None:
    audit_of("I2", "I4")
    broken = lines(root_client)["ledger_audit"]
    audit_of(hours_ago=40)
    old = lines(root_client)["ledger_audit"]
    audit_of()
    clean = lines(root_client)["ledger_audit"]

    assert broken.state == State.ERROR
    assert broken.value.startswith("I2, I4: does not add up")
    assert "audit_ledger" in broken.advice
    assert old.state == State.WARNING
    assert (clean.state, clean.advice) == (State.OK, "")


def test_an_audit_log_that_was_touched_is_an_error(root_client: Client) -> None:
    AuditLogCheck.objects.create(finished_at=timezone.now(), flaw="changed", checked=6, event_id=7)

    line = lines(root_client)["audit_log"]

    assert (line.state, line.facts["is_intact"]) == (State.ERROR, False)
    assert line.value.startswith("event 7 is not in order")


# --- Who sees it ------------------------------------------------------------------------------


def test_the_dashboard_names_what_needs_attention_the_worst_first(admin_client: Client) -> None:
    tell_relay(version="0.0.1")
    tell_relay(2)
    tell("worker", "alpha")

    content = admin_client.get(f"{URL}summary/").content.decode()

    assert content.index("Scheduler") < content.index("Relay processes")
    assert "Job worker" not in content


def test_the_page_tells_nothing_secret(
    root_client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = "a-token-for-prometheus"
    settings.SECRET_KEY = "a-key-that-nobody-may-see-on-a-page"
    tell_all_is_well()

    content = root_client.get(URL).content.decode()

    assert settings.METRICS_TOKEN not in content
    assert settings.SECRET_KEY not in content
    assert settings.REDIS_URL.partition("?")[0].removeprefix("unix://") not in content
    assert settings.DATABASES["default"]["NAME"] not in content


def test_the_page_costs_the_same_number_of_queries_however_many_processes(
    root: User,
    signed_in: Callable[[User], Client],
    django_assert_max_num_queries: DjangoAssertNumQueries,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    client = signed_in(root)
    tell_all_is_well()
    with django_assert_max_num_queries(12) as few:
        client.get(URL)
    for pid in range(2, 30):
        tell_relay(pid)

    with django_assert_num_queries(len(few)):
        client.get(URL)
