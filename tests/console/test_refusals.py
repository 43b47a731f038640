"""Requests that are refused before Django is asked."""

import asyncio
import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from oneapi_admin import console
from tests.api.conftest import PROBLEM
from tests.support.processes import WebProcess, web_processes

API, PAGE = "/api/v1/tokens", "/redeem/"
LIMIT = 5000


@pytest.fixture(scope="module")
def web(django_db_setup: None, django_db_blocker) -> Iterator[WebProcess]:
    with django_db_blocker.unblock(), web_processes(1, CONSOLE_MAX_BODY_BYTES=str(LIMIT)) as [started]:
        yield started


def post(web: WebProcess, path: str, *chunks: bytes, **headers: str) -> tuple[int, dict[str, str], str]:
    """Send headers and so much of a body, and read the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)) as connection:
        connection.putrequest("POST", path)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        for chunk in chunks:
            connection.send(chunk)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()


def check_is_problem(headers: dict[str, str], body: str, code: str) -> None:
    problem = json.loads(body)
    assert headers["content-type"] == PROBLEM
    assert headers["cache-control"] == "no-store"
    assert (problem["code"], problem["errors"]) == (code, [])
    assert problem["request_id"] == headers["x-oneapi-request-id"]
    assert problem["detail"]


def test_a_body_that_is_said_to_be_too_large_is_not_waited_for(web: WebProcess) -> None:
    status, headers, body = post(web, API, Content_Length=str(LIMIT + 1))

    assert status == 413
    check_is_problem(headers, body, "request_too_large")


def test_a_body_that_grows_too_large_is_refused(web: WebProcess) -> None:
    chunk = b"%x\r\n%s\r\n" % (LIMIT, b"a" * LIMIT)

    status, headers, body = post(web, API, chunk, chunk, Transfer_Encoding="chunked")

    assert status == 413
    check_is_problem(headers, body, "request_too_large")


def test_a_body_within_the_limit_reaches_the_api(web: WebProcess) -> None:
    status, _headers, body = post(web, API, b"a" * LIMIT, Content_Length=str(LIMIT))

    assert (status, json.loads(body)["code"]) == (401, "authentication_required")


def test_a_page_says_it_in_plain_words(web: WebProcess) -> None:
    status, headers, body = post(web, PAGE, Content_Length=str(LIMIT + 1))

    assert (status, headers["content-type"]) == (413, "text/plain; charset=utf-8")
    assert body == "The request is too large.\n"
    assert headers["x-oneapi-request-id"]


def refused(path: str, *messages: dict[str, Any]) -> tuple[int, dict[str, str], str]:
    """What the console answers to a request whose body is what is given, and then silence."""
    sent: list[Any] = []

    async def ask() -> None:
        waiting = list(messages)

        async def receive() -> Any:
            return waiting.pop(0) if waiting else await asyncio.Future()

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-length", b"100"), (b"accept-language", b"en")]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        await console.Console(_never_reached)(scope, receive, send)

    asyncio.run(ask())
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, sent[1]["body"].decode()


async def _never_reached(*_arguments: object) -> None:
    pytest.fail("a refused request went on")


PART = {"type": "http.request", "body": b"a" * 50, "more_body": True}


def test_a_body_that_does_not_end_in_time_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "BODY_SECONDS", 0.01)

    status, headers, body = refused(API, PART)

    assert status == 408
    check_is_problem(headers, body, "request_timeout")


def test_a_body_that_was_cut_is_a_problem() -> None:
    status, headers, body = refused(API, PART, {"type": "http.disconnect"})

    assert status == 400
    check_is_problem(headers, body, "bad_request")


def test_more_bodies_than_there_is_room_for_are_a_problem_that_says_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "ALL_BODIES_BYTES", 99)

    status, headers, body = refused(API, PART, PART)

    assert (status, headers["retry-after"]) == (503, "5")
    check_is_problem(headers, body, "unavailable")
