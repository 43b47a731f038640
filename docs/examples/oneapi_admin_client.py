"""A small client for the management API: copy it, it needs nothing but Python 3.11.

client = Client("https://quota.example.com", "oa-…")
client.top_up(42, usd="5.00", order="2026-000123")
for entry in client.ledger_entries(user=42):
    print(entry["created_at"], entry["kind"], entry["amount_usd"])
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, TypedDict
from urllib.parse import urlencode

TRIES = 4
"""How often a request is sent when the server cannot be reached or is busy."""


class User(TypedDict):
    id: int
    username: str
    email: str
    display_name: str
    role: str
    status: str
    group: str
    balance: int
    held: int
    used_quota: int
    request_count: int
    created_at: str


class Entry(TypedDict):
    id: int
    user_id: int
    username: str
    kind: str
    amount: int
    amount_usd: str
    balance_after: int
    actor_id: int | None
    memo: str
    reference: str
    created_at: str


class ProblemError(Exception):
    """The server refused; decide by ``code``."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code: str = problem.get("code", "error")
        self.detail: str = problem.get("detail", "")
        self.remedy: str = problem.get("remedy", "")
        self.request_id: str = problem.get("request_id", "")
        self.errors: list[dict[str, str]] = problem.get("errors", [])
        super().__init__(f"{status} {self.code}: {self.detail} {self.remedy}".strip())


class NeedsApprovalError(Exception):
    """Nothing moved yet: the amount is one that another operator has to approve first."""

    def __init__(self, proposal: dict[str, Any]) -> None:
        self.proposal_id: int = proposal["id"]
        super().__init__(f"proposal {self.proposal_id} waits for approval")


class Client:
    """Asks as whoever the access token belongs to.

    Reading is tried again by itself; so is what has an idempotency key, since it cannot happen twice.
    """

    def __init__(self, base_url: str, access_token: str, *, timeout: float = 30.0) -> None:
        self._root = base_url.rstrip("/") + "/api/v1"
        self._access_token = access_token
        self._timeout = timeout

    def me(self) -> User:
        """Whose access token this is."""
        user: User = self.request("GET", "/me")
        return user

    def create_user(self, username: str, password: str, *, quota: int = 0, key: str = "") -> User:
        """Create a user with first quota, in quota units (500,000 to the US dollar)."""
        body = {"username": username, "password": password, "quota": quota}
        user: User = self.request("POST", "/users", body, key=key)
        return user

    def top_up(
        self, user_id: int, *, order: str, usd: str | None = None, quota: int | None = None, memo: str = ""
    ) -> Entry:
        """Give a user quota, once for an order, however often this is called.

        :param order: the shop's order number, the idempotency key
        :param usd: dollars as a string, such as "5.00"; or ``quota`` in quota units
        :raises NeedsApprovalError: if the user gets it once another operator has approved it
        """
        amount: dict[str, str | int | None] = {"usd": usd} if usd is not None else {"quota": quota}
        entry: Entry = self.request("POST", f"/users/{user_id}/top-ups", {**amount, "memo": memo}, key=order)
        return entry

    def redeem(self, code: str) -> Entry:
        """Turn a code into quota of one's own."""
        entry: Entry = self.request("POST", "/redemptions", {"code": code})
        return entry

    def users(self, **filters: str | int) -> Iterator[User]:
        """Every user that the caller may see, newest first."""
        return self.items("/users", **filters)

    def ledger_entries(self, **filters: str | int) -> Iterator[Entry]:
        """Every movement that the caller may see, newest first."""
        return self.items("/ledger-entries", **filters)

    def items(self, path: str, **filters: str | int) -> Iterator[Any]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            query = urlencode({**filters, "limit": 200, **({"cursor": cursor} if cursor else {})})
            page = self.request("GET", f"{path}?{query}")
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def request(self, method: str, path: str, body: object = None, *, key: str = "") -> Any:
        """Send a request and return the answer.

        :param key: the idempotency key
        :raises ProblemError: if it was refused
        :raises NeedsApprovalError: if it waits for another operator
        :raises OSError: if the server could not be reached, or its answer did not arrive
        """
        is_repeatable = method == "GET" or bool(key)
        for tries_left in reversed(range(TRIES if is_repeatable else 1)):
            try:
                return self._send(method, path, body, key)
            except ProblemError as problem:
                if problem.status not in (429, 503) or not tries_left:
                    raise
            except OSError:
                if not tries_left:
                    raise
            time.sleep(2.0 ** (TRIES - tries_left - 2))
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, path: str, body: object, key: str) -> Any:
        headers = {"Authorization": f"Bearer {self._access_token}", "Accept-Language": "en"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        if key:
            headers["Idempotency-Key"] = key
        request = urllib.request.Request(self._root + path, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310
                raw, is_proposed = response.read(), response.status == 202
        except urllib.error.HTTPError as error:
            with error:
                raise ProblemError(error.code, _object(error.read())) from None
        if is_proposed:
            raise NeedsApprovalError(_object(raw))
        return json.loads(raw) if raw else None


def _object(raw: bytes) -> dict[str, Any]:
    """A problem; a reverse proxy in between may have sent something else."""
    try:
        problem = json.loads(raw)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
