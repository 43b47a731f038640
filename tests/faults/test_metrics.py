"""Calls that are over while the database is away: seen by whoever watches, until they are charged."""

import http.client
import signal
from contextlib import closing
from pathlib import Path

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from billing.models import UsageRecord
from tests.factories import make_root, make_token, make_user
from tests.faults.callers import begin_chat
from tests.faults.conftest import ON_POSTGRESQL, Outage
from tests.support.processes import WebProcess, web_processes
from tests.support.waiting import wait_until

CALLS = 3
pytestmark = pytest.mark.django_db(transaction=True)


def values(server: WebProcess) -> dict[str, float]:
    """What this process counts and, under the same names, what is the same for all."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    own = str(server.process.pid)
    return {
        sample.name.removeprefix("oneapi_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("pid", own) == own
    }


def test_the_depth_of_the_journal_is_seen_while_the_database_is_away_and_after_its_process_was_killed(
    channel, outage: Outage, journals: Path
) -> None:
    environment = {**outage.environment, "FAULTS": "impatient", "JOURNAL_DIR": str(journals)}
    key = make_token(make_user(balance=50_000)).key
    operator = Client()
    operator.force_login(make_root())

    def on_the_page() -> int:
        [line] = [
            line for line in operator.get("/ops/health/").context["report"].lines if line.code == "journal"
        ]
        return int(line.facts["waiting"])

    with web_processes(1, module="tests.support.faulty_web", **environment) as [server]:
        calls = [begin_chat(server.port, key, tokens=10, delay_ms=100, is_stream=True) for _ in range(CALLS)]
        wait_until(lambda: all(call.answer.events for call in calls))
        assert values(server)["relay_calls_in_flight"] == CALLS
        outage.begin()
        assert all(call.wait().is_whole for call in calls)

        away = values(server)
        assert away["relay_journal_calls_waiting"] == away["relay_journal_slots_used"] == CALLS
        assert away["database_up"] == (0 if ON_POSTGRESQL else 1), "readers of SQLite need no lock"
        wait_until(lambda: values(server)["relay_settle_retries_total"] >= CALLS)
        wait_until(lambda: on_the_page() == CALLS)
        server.stop(signal.SIGKILL)

    with web_processes(1, module="tests.support.faulty_web", **environment) as [server]:
        wait_until(lambda: values(server)["relay_journal_calls_abandoned"] == CALLS)
        assert values(server)["relay_journal_calls_waiting"] == 0
        outage.end()
        wait_until(lambda: values(server)["relay_journal_calls_abandoned"] == 0)

        assert values(server)["relay_calls_recovered_total"] == CALLS
        assert UsageRecord.objects.count() == CALLS
