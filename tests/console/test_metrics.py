"""``/metrics``: who may read it, and what several processes answer together."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import ROOT, WebProcess, web_processes
from tests.support.waiting import wait_until

TOKEN = "a token for Prometheus"
BEARER = f"Bearer {TOKEN}"


def ask(web: WebProcess, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """
    :param headers: with ``_`` for ``-``
    """
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)) as connection:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, "/metrics", headers=sent)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


Samples = dict[tuple[str, ...], float]


def samples(web: WebProcess) -> dict[str, Samples]:
    """The values of each metric by its labels' values, without their names."""
    status, _headers, text = ask(web, Authorization=BEARER)
    assert status == 200
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def pids(web: WebProcess) -> set[int]:
    return {int(pid) for [pid] in samples(web)["process_cpu_seconds_total"]}


@pytest.fixture(scope="module")
def open_web(django_db_setup: None, django_db_blocker: Any) -> Iterator[WebProcess]:
    """As it is when nobody has set anything."""
    with django_db_blocker.unblock(), web_processes(1) as [started]:
        yield started


@pytest.fixture(scope="module")
def closed_web(django_db_setup: None, django_db_blocker: Any) -> Iterator[WebProcess]:
    """Behind a proxy that it knows, for a token and a network."""
    environment = {"METRICS_TOKEN": TOKEN, "METRICS_NETWORKS": "192.0.2.0/24", "TRUSTED_PROXIES": "127.0.0.1"}
    with django_db_blocker.unblock(), web_processes(1, **environment) as [started]:
        yield started


# --- Who may read -----------------------------------------------------------------------------


def test_the_machine_itself_may_read_without_a_token(open_web: WebProcess) -> None:
    status, headers, text = ask(open_web)

    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert headers["cache-control"] == "no-store"
    assert headers["x-oneapi-request-id"]
    assert "oneapi_relay_journal_calls_waiting" in text


@pytest.mark.parametrize("header", ["X_Forwarded_For", "Forwarded", "X_Real_IP", "Via", "CF_Connecting_IP"])
def test_nobody_may_through_a_proxy_that_is_not_known(open_web: WebProcess, header: str) -> None:
    status, _headers, text = ask(open_web, **{header: "127.0.0.1"})

    assert status == 403
    assert "METRICS_TOKEN" in text
    assert "oneapi_" not in text


def test_a_token_that_is_not_set_opens_nothing(open_web: WebProcess) -> None:
    for authorization in ("Bearer ", "Bearer", ""):
        assert ask(open_web, Via="1.1 a-proxy", Authorization=authorization)[0] == 403


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Bearer ", f"Basic {TOKEN}", TOKEN])
def test_without_the_right_token_a_stranger_reads_nothing(closed_web: WebProcess, authorization: str) -> None:
    status, headers, text = ask(closed_web, Authorization=authorization)

    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="metrics"')
    assert "oneapi_" not in text
    assert TOKEN not in text


def test_the_right_token_opens_from_anywhere(closed_web: WebProcess) -> None:
    for headers in ({}, {"X_Forwarded_For": "198.51.100.7"}):
        status, _headers, text = ask(closed_web, Authorization=BEARER, **headers)

        assert status == 200
        assert TOKEN not in text
        assert settings.SECRET_KEY not in text


@pytest.mark.parametrize(
    ("forwarded_for", "status"),
    [
        ("192.0.2.7", 200),
        ("::ffff:192.0.2.7", 200),
        ("198.51.100.7, 192.0.2.7", 200),
        ("192.0.2.7, 198.51.100.7", 401),
        ("198.51.100.7", 401),
        ("unknown", 401),
    ],
)
def test_an_address_counts_as_the_known_proxy_saw_it(
    closed_web: WebProcess, forwarded_for: str, status: int
) -> None:
    assert ask(closed_web, X_Forwarded_For=forwarded_for)[0] == status


@pytest.mark.parametrize(
    ("environment", "networks"),
    [
        ({}, "127.0.0.0/8 ::1/128"),
        ({"BASE_URL": "https://quota.example.com"}, ""),
        ({"ALLOWED_HOSTS": "quota.example.com"}, ""),
        ({"BASE_URL": "https://quota.example.com", "TRUSTED_PROXIES": "127.0.0.1"}, "127.0.0.0/8 ::1/128"),
        ({"BASE_URL": "https://quota.example.com", "METRICS_NETWORKS": "10.1.2.3/8"}, "10.0.0.0/8"),
        ({"METRICS_NETWORKS": ""}, ""),
    ],
)
def test_no_address_is_believed_unasked_where_an_unknown_proxy_may_be(
    environment: dict[str, str], networks: str
) -> None:
    code = "from oneapi_admin import settings; print(*settings.METRICS_NETWORKS)"
    env = {**os.environ, "DATA_DIR": str(settings.DATA_DIR), **environment}

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, check=True)

    assert done.stdout.decode().strip() == networks


def test_it_takes_nothing_but_reading(open_web: WebProcess) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, headers, _text = ask(open_web, method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert ask(open_web, "HEAD")[::2] == (200, "")


# --- What several processes answer ------------------------------------------------------------


@pytest.fixture
def processes(transactional_db: None, tmp_path: Path) -> Iterator[list[WebProcess]]:
    """Two of one machine, whose Redis is away."""
    environment = {
        "DATA_DIR": str(tmp_path),
        "METRICS_TOKEN": TOKEN,
        "REDIS_URL": f"unix://{tmp_path / 'nobody'}?db=0",
    }
    with web_processes(2, **environment) as started:
        yield started


def test_each_process_answers_for_all_that_live(processes: list[WebProcess], tmp_path: Path) -> None:
    first, second = processes
    both = {first.process.pid, second.process.pid}
    assert pids(first) == pids(second) == both

    os.kill(second.process.pid, signal.SIGSTOP)
    try:
        stopped = samples(first)
    finally:
        os.kill(second.process.pid, signal.SIGCONT)
    assert stopped["oneapi_web_processes_silent"] == {(): 1}
    wait_until(lambda: pids(first) == both)

    second.stop(signal.SIGKILL)
    killed = samples(first)
    assert killed["oneapi_web_processes_silent"] == {(): 0}
    assert pids(first) == {first.process.pid}
    assert [path.stem for path in (tmp_path / "run" / "metrics").iterdir()] == [str(first.process.pid)]

    first.stop()
    assert list((tmp_path / "run" / "metrics").iterdir()) == []


def test_a_redis_that_is_away_takes_nothing_but_its_own_values(processes: list[WebProcess]) -> None:
    found = samples(processes[0])

    assert found["oneapi_redis_up"] == {(): 0}
    assert found["oneapi_database_up"] == {(): 1}
    assert found["oneapi_holds_open"] == {(): 0}
    assert "oneapi_jobs_queued" not in found
