"""What a shop does when its payment provider calls back: a WSGI application in forty lines.

Payment providers call until they are answered with 200, sometimes several times at once. The order number
is the idempotency key, so that a user is credited once for an order, whatever happens: if this process dies
before it answers, the next call gets the same ledger entry.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from typing import Any

from oneapi_admin_client import Client, NeedsApprovalError, ProblemError

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
MAX_BYTES = 64 * 1024


class PaymentCallback:
    """Takes ``{"order": "2026-000123", "user_id": 42, "usd": "5.00"}``, signed with HMAC-SHA256."""

    def __init__(self, client: Client, secret: bytes) -> None:
        self._client = client
        self._secret = secret

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), MAX_BYTES))
        status, text = self._answer(body, environ.get("HTTP_X_SIGNATURE", ""))
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [text.encode()]

    def _answer(self, body: bytes, signature: str) -> tuple[str, str]:
        expected = hmac.digest(self._secret, body, "sha256").hex()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return "401 Unauthorized", "wrong signature"
        paid = json.loads(body)
        order = hashlib.sha256(str(paid["order"]).encode()).hexdigest()  # any order number fits a header
        try:
            entry = self._client.top_up(
                paid["user_id"], usd=paid["usd"], order=order, memo=f"order {paid['order']}"
            )
        except NeedsApprovalError as waiting:
            return "200 OK", str(waiting)  # noted; an operator approves it, and calling again changes nothing
        except ProblemError as problem:
            return "422 Unprocessable Content", str(problem)  # calling again would not help
        except OSError:
            return "503 Service Unavailable", "try again"  # the provider calls again, nothing is lost
        return "200 OK", f"entry {entry['id']}"
