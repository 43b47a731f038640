"""The few pieces of ASGI the sandbox needs: reading a body, sending an answer."""

import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any, Final

from sandbox import errors

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY: Final = 32 * 1024 * 1024

_PROVIDER_HEADERS: Final = (
    (b"openai-organization", b"org-sandbox"),
    (b"x-ratelimit-limit-requests", b"1000000"),
    (b"x-ratelimit-remaining-requests", b"999999"),
    (b"x-ratelimit-reset-requests", b"1ms"),
)
_RUN: Final = secrets.token_hex(6).encode()
_request_numbers: Final = count(1)


class ClientGoneError(Exception):
    """The client closed the connection before it had the whole answer."""


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Read the request's body.

    :raises ApiError: 413, if it is larger than the sandbox takes
    :raises ClientGoneError: if the client left before it was complete
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > MAX_BODY:
            raise errors.body_too_large(MAX_BODY)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        parts = bytearray(body)
        while message.get("more_body", False):
            message = await receive()
            parts += message.get("body", b"")
            if len(parts) > MAX_BODY:
                raise errors.body_too_large(MAX_BODY)
        body = bytes(parts)
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return body


async def send_json(send: Send, status: int, body: bytes, headers: errors.Headers = ()) -> None:
    await send_start(send, status, b"application/json", headers, length=len(body))
    await send_body(send, body)


async def send_start(
    send: Send,
    status: int,
    content_type: bytes,
    headers: errors.Headers = (),
    *,
    length: int | None = None,
) -> None:
    """Send the status and the headers; ``headers`` replace the usual ones of the same kind."""
    sent = [
        (b"content-type", content_type),
        (b"x-request-id", b"req_%s%08x" % (_RUN, next(_request_numbers))),
        *(headers or _PROVIDER_HEADERS),
    ]
    if length is not None:
        sent.append((b"content-length", b"%d" % length))
    await send({"type": "http.response.start", "status": status, "headers": sent})


async def send_body(send: Send, body: bytes, *, is_last: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def is_loopback(scope: Scope) -> bool:
    """Tell whether the request came from this machine over the network's loopback."""
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def dump(body: object) -> bytes:
    """Write compact JSON."""
    return encode(json.dumps(body, ensure_ascii=False, separators=(",", ":")))


def encode(text: str) -> bytes:
    """Encode as UTF-8; what UTF-8 cannot hold (half a surrogate pair) becomes a question mark."""
    return text.encode("utf-8", "replace")
