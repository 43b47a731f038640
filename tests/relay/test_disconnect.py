"""Callers that leave, and servers that stop."""

import http.client
import json
import signal
from contextlib import closing

import pytest

from billing.models import Hold, UsageRecord
from billing.services import holds
from billing.services.audit import audit_ledger
from tests.factories import account_of, balance_of, make_token, make_user
from tests.support.processes import WebProcess, web_processes
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def open_stream(web: WebProcess, key: str, *, tokens: int, delay_ms: int) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    body = {
        "model": "sandbox-echo",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "sandbox": {"completion_tokens": tokens, "chunks": tokens, "delay_ms": delay_ms},
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {key}"})
    return connection


def broken() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_a_caller_who_leaves_a_stream_pays_for_what_was_served(channel, web, sandbox) -> None:
    user = make_user(balance=5_000)
    with closing(open_stream(web, make_token(user).key, tokens=500, delay_ms=50)) as connection:
        connection.getresponse().read(400)

    wait_until(UsageRecord.objects.exists)

    record = UsageRecord.objects.get()
    assert record.status == "disconnected"
    assert 0 < record.completion_tokens < 400
    assert 0 < record.quota == 5_000 - balance_of(user)
    assert account_of(user).held == 0
    sandbox.wait_for_requests(lambda seen: seen["disconnected"] == 1)
    assert broken() == []


def test_a_server_that_is_told_to_stop_finishes_its_streams_first(channel) -> None:
    user = make_user(balance=5_000)
    with (
        web_processes(1) as [web],
        closing(open_stream(web, make_token(user).key, tokens=20, delay_ms=50)) as caller,
    ):
        response = caller.getresponse()
        head = response.read(50)
        web.process.send_signal(signal.SIGTERM)
        rest = response.read()
        status = web.process.wait(30)

    assert (head + rest).rstrip().endswith(b"data: [DONE]")
    assert status == 0
    assert UsageRecord.objects.get().status == "ok"
    assert broken() == []


def test_a_killed_server_leaves_a_hold_that_the_sweeper_gives_back(channel) -> None:
    user = make_user(balance=5_000)
    with (
        web_processes(1) as [web],
        closing(open_stream(web, make_token(user).key, tokens=500, delay_ms=50)) as caller,
    ):
        caller.getresponse().read(100)
        web.stop(signal.SIGKILL)

    hold = Hold.objects.get()
    assert account_of(user).held == hold.amount > 0
    assert broken() == []
    swept = holds.expire(at=hold.expires_at)

    assert swept == 1
    assert (account_of(user).balance, account_of(user).held) == (5_000, 0)
    assert broken() == []
