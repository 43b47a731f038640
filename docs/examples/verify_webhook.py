"""How a receiver checks that a webhook comes from oneapi-admin: Python 3.11, nothing to install.

Give it the raw body, exactly as it came: parsed and written again it may differ.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

TOLERANCE_S = 300


class InvalidWebhookError(Exception):
    """This was not sent by whoever knows the secret, or it was sent long ago."""


def verify_webhook(
    headers: Mapping[str, str], body: bytes, *, secret: str, now: float | None = None
) -> dict[str, Any]:
    """Return the event. Deliveries come at least once: skip an event whose ``id`` you have dealt with.

    :param headers: of the request, by their names in any case
    :param secret: ``whsec_…``, shown when the webhook was made
    :param now: seconds since 1970; the clock's unless given
    :raises InvalidWebhookError: if the signature is wrong, or older or newer than five minutes
    """
    sent = {name.lower(): value for name, value in headers.items()}
    timestamp = sent.get("x-oneapi-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()):
        raise InvalidWebhookError("no timestamp")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_S:
        raise InvalidWebhookError("too old, or one of the clocks is wrong")
    content = timestamp.encode() + b"." + body
    expected = "v1=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    given = sent.get("x-oneapi-signature", "").split(",")
    if not any(hmac.compare_digest(expected.encode(), one.strip().encode()) for one in given):
        raise InvalidWebhookError("the signature does not fit")
    event: dict[str, Any] = json.loads(body)
    return event
