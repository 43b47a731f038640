"""A relay process that is asked to stop while it serves a hundred streams."""

import http.client
import signal
from contextlib import closing

import pytest

from billing.models import Hold, UsageRecord
from tests.factories import account_of, make_token, make_user
from tests.faults.books import broken
from tests.faults.callers import begin_chat, refuses_connections
from tests.support.processes import web_processes
from tests.support.waiting import wait_until

STREAMS = 100
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(("drain_seconds", "is_enough"), [("30", True), ("1", False)])
def test_a_stop_lets_streams_finish_or_charges_what_was_served(
    channel, drain_seconds: str, is_enough: bool
) -> None:
    user = make_user(balance=500_000)
    key = make_token(user).key
    tokens = 15 if is_enough else 150
    with web_processes(1, DRAIN_SECONDS=drain_seconds) as [server]:
        idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        with closing(idle):
            idle.request("GET", "/healthz")
            assert idle.getresponse().read()
            calls = [
                begin_chat(server.port, key, tokens=tokens, delay_ms=200, is_stream=True)
                for _ in range(STREAMS)
            ]
            wait_until(lambda: all(call.answer.events for call in calls))

            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refuses_connections(server.port))
            assert idle.sock.recv(1) == b"", "a connection without a call is closed at once"
            assert not any(call.answer.is_whole for call in calls), "the stop came while they were served"
            answers = [call.wait() for call in calls]

        assert server.process.wait(20) == 0
    served = {answer.request_id: answer for answer in answers}
    records = {record.request_id: record for record in UsageRecord.objects.all()}
    assert records.keys() == served.keys()
    assert len(records) == STREAMS
    for request_id, record in records.items():
        answer = served[request_id]
        if is_enough:
            assert (record.status, record.completion_tokens, answer.events) == ("ok", tokens, tokens)
            assert answer.is_whole
            assert b"data: [DONE]" in answer.body
        else:
            assert (record.status, record.error_code) == ("interrupted", "cancelled")
            assert 0 < answer.events <= record.completion_tokens < tokens
            assert not answer.is_whole
    account = account_of(user)
    assert account.balance == 500_000 - sum(record.quota for record in records.values())
    assert account.held == 0
    assert not Hold.objects.exists()
    assert broken() == []
