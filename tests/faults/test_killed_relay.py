"""A relay process that is killed at any moment: nothing served is free, nothing is charged twice."""

import http.client
import json
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from billing.models import Hold, UsageRecord
from billing.services.audit import audit_ledger
from tests.factories import account_of, balance_of, make_token, make_user
from tests.support.processes import web_processes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def stream(port: int, key: str, tokens: int) -> Iterator[http.client.HTTPResponse]:
    """A stream of so many tokens, one an event, 20 ms apart."""
    paced = {"completion_tokens": tokens, "chunks": tokens, "delay_ms": 20}
    body = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    headers = {"Authorization": f"Bearer {key}"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps({**body, "sandbox": paced}), headers)
        with connection.getresponse() as response:
            yield response


def read_events(response: http.client.HTTPResponse, count: int) -> None:
    for _ in range(count):
        assert response.readline().startswith(b"data: ")
        assert response.readline() == b"\n"


@pytest.mark.parametrize("is_journal_lost", [False, True])
def test_a_stream_is_charged_for_what_was_served_before_its_process_was_killed(
    channel, tmp_path: Path, is_journal_lost: bool
) -> None:
    user = make_user(balance=5_000)
    made = make_token(user)
    with (
        web_processes(1, JOURNAL_DIR=str(tmp_path)) as [server],
        stream(server.port, made.key, tokens=500) as response,
    ):
        read_events(response, 20)
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    assert Hold.objects.count() == 1
    [journal] = tmp_path.iterdir()
    if is_journal_lost:  # the control: without it, the stream would have been free
        journal.unlink()

    with web_processes(1, JOURNAL_DIR=str(tmp_path)):
        wait_until(lambda: not journal.exists())

    if is_journal_lost:
        assert not UsageRecord.objects.exists()
        return
    record = UsageRecord.objects.get()
    assert (record.status, record.error_code) == ("interrupted", "relay_died")
    assert record.usage_source == "estimated"
    assert 20 <= record.completion_tokens <= 60
    assert record.quota == 5_000 - balance_of(user) > 0
    assert record.upstream_cost > 0
    assert account_of(user).held == 0
    assert [check.code for check in audit_ledger() if check.broken] == []
