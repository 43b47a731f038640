"""Callers that leave, and servers that stop."""

import http.client
import json
import signal
import socket
from contextlib import closing

import pytest

from billing.models import Hold, UsageRecord
from billing.services import holds
from billing.services.audit import audit_ledger
from tests.factories import account_of, balance_of, make_channel, make_token, make_token_price, make_user
from tests.relay.scripted import delta, upstream_that_falls_silent, upstream_without_end
from tests.support.processes import WebProcess, web_processes
from tests.support.waiting import wait_until

EVENT = b"data: " + json.dumps(delta("one two three")).encode() + b"\n\n"
pytestmark = pytest.mark.django_db(transaction=True)


def open_stream(
    web: WebProcess, key: str, *, model: str = "sandbox-echo", **fields: object
) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True, **fields}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {key}"})
    return connection


def paced(tokens: int) -> dict[str, int]:
    return {"completion_tokens": tokens, "chunks": tokens, "delay_ms": 50}


def make_odd_channel(origin: str) -> None:
    make_token_price("odd")
    make_channel(base_url=origin, models=["odd"])


def broken() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_a_caller_who_leaves_a_stream_pays_for_what_was_served(channel, web, sandbox) -> None:
    user = make_user(balance=5_000)
    with closing(open_stream(web, make_token(user).key, sandbox=paced(500))) as connection:
        connection.getresponse().read(400)

    wait_until(UsageRecord.objects.exists)

    record = UsageRecord.objects.get()
    assert record.status == "disconnected"
    assert 0 < record.completion_tokens < 400
    assert 0 < record.quota == 5_000 - balance_of(user)
    assert account_of(user).held == 0
    sandbox.wait_for_requests(lambda seen: seen["disconnected"] == 1)
    assert broken() == []


def test_a_caller_who_leaves_is_noticed_while_the_provider_says_nothing(web) -> None:
    user = make_user(balance=500_000)
    with upstream_that_falls_silent(EVENT) as origin:
        make_odd_channel(origin)
        with closing(open_stream(web, make_token(user).key, model="odd")) as connection:
            beginning = connection.getresponse().read(len(EVENT))

        wait_until(UsageRecord.objects.exists)

    record = UsageRecord.objects.get()
    assert beginning == EVENT
    assert (record.status, record.completion_tokens) == ("disconnected", 3)
    assert (balance_of(user), account_of(user).held) == (500_000 - record.quota, 0)
    assert broken() == []


def test_a_provider_who_says_nothing_for_too_long_is_given_up() -> None:
    user = make_user(balance=500_000)
    with upstream_that_falls_silent(EVENT) as origin, web_processes(1, RELAY_CALL_SECONDS="1") as [web]:
        make_odd_channel(origin)
        with closing(open_stream(web, make_token(user).key, model="odd")) as connection:
            answer = connection.getresponse().read()

    record = UsageRecord.objects.get()
    assert answer.startswith(EVENT)
    assert b"data: [DONE]" not in answer
    assert (record.status, record.error_code) == ("interrupted", "timeout")
    assert record.completion_tokens == 3


def test_a_caller_who_stays_but_stops_reading_is_given_up_and_pays_for_what_was_served() -> None:
    user = make_user(balance=500_000_000)
    long_event = b"data: " + json.dumps(delta("word " * 4_000)).encode() + b"\n\n"
    with upstream_without_end(long_event) as origin, web_processes(1, RELAY_CALL_SECONDS="1") as [web]:
        make_odd_channel(origin)
        with closing(open_stream(web, make_token(user).key, model="odd")):
            wait_until(UsageRecord.objects.exists)

    record = UsageRecord.objects.get()
    assert record.status == "disconnected"
    assert record.completion_tokens >= 4_000
    assert (balance_of(user), account_of(user).held) == (500_000_000 - record.quota, 0)


def test_a_server_that_is_told_to_stop_twice_charges_what_was_served() -> None:
    user = make_user(balance=500_000)
    with upstream_that_falls_silent(EVENT) as origin, web_processes(1) as [web]:
        make_odd_channel(origin)
        with closing(open_stream(web, make_token(user).key, model="odd")) as connection:
            connection.getresponse().read(len(EVENT))
            web.process.send_signal(signal.SIGTERM)
            wait_until(lambda: refuses(web))
            web.process.send_signal(signal.SIGTERM)
            web.process.wait(30)

    record = UsageRecord.objects.get()
    assert (record.status, record.error_code) == ("interrupted", "cancelled")
    assert record.completion_tokens == 3
    assert (balance_of(user), account_of(user).held) == (500_000 - record.quota, 0)
    assert broken() == []


def refuses(web: WebProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", web.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_server_that_is_told_to_stop_finishes_its_streams_first(channel) -> None:
    user = make_user(balance=5_000)
    with (
        web_processes(1) as [web],
        closing(open_stream(web, make_token(user).key, sandbox=paced(20))) as caller,
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
        closing(open_stream(web, make_token(user).key, sandbox=paced(500))) as caller,
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
