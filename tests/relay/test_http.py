"""Reading a request's body, however it arrives."""

import asyncio
import socket
from contextlib import closing
from typing import Any

import pytest

from relay import http
from relay.errors import BodyTimeoutError
from relay.http import DisconnectedError, Request

BODY = b'{"model": "nonsense", "messages": []}'


def piece(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def request(*messages: dict[str, Any]) -> Request:
    """A request of which these messages arrive, and then nothing."""
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else await asyncio.Future()

    async def send(_message: Any) -> None:
        raise AssertionError("nothing is answered here")

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    return Request.of(scope, receive, send)


def test_a_body_in_pieces_is_read_whole() -> None:
    pieces = (piece(b"one ", more=True), piece(b"", more=True), piece(b"two", more=False))

    assert asyncio.run(request(*pieces).body()) == b"one two"


def test_a_body_whose_rest_never_arrives_is_refused_in_time(monkeypatch) -> None:
    monkeypatch.setattr(http, "_BODY_SECONDS", 0)

    with pytest.raises(BodyTimeoutError):
        asyncio.run(request(piece(b"half of", more=True)).body())


def test_a_caller_who_leaves_before_the_whole_body_arrived_is_noticed() -> None:
    with pytest.raises(DisconnectedError):
        asyncio.run(request(piece(b"half of", more=True), {"type": "http.disconnect"}).body())


def head(*, close: bool = False) -> bytes:
    lines = (b"POST /v1/chat/completions HTTP/1.1", b"Host: here", b"Content-Length: %d" % len(BODY))
    last = b"Connection: close\r\n" if close else b""
    return b"\r\n".join(lines) + b"\r\n" + last + b"\r\n"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", [9, 60, -1, 5 - len(BODY)])
def test_a_request_that_is_cut_anywhere_is_answered_when_it_is_whole(web, place: int) -> None:
    whole = head(close=True) + BODY
    with closing(socket.create_connection(("127.0.0.1", web.port), timeout=20)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(whole[:place])
        connection.sendall(whole[place:])
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"invalid_api_key" in answer


@pytest.mark.django_db(transaction=True)
def test_requests_sent_without_waiting_are_all_answered(web) -> None:
    with closing(socket.create_connection(("127.0.0.1", web.port), timeout=20)) as connection:
        connection.sendall(head() + BODY + head() + BODY + head(close=True) + BODY)
        answers = connection.makefile("rb").read()

    assert answers.count(b"HTTP/1.1 401 ") == 3
    assert answers.count(b'"code":"invalid_api_key"') == 3
