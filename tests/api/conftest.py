"""Programs that ask the management API."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from accounts.services.access_tokens import create_access_token
from tests.factories import make_root

PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def code(self) -> str:
        return str(self.body["code"])

    @property
    def wrong_fields(self) -> list[str]:
        return [error["field"] for error in self.body["errors"]]


@dataclass(frozen=True)
class Program:
    """Asks as whoever the access token belongs to; without one, as a stranger."""

    key: str = ""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """
        :param headers: with ``_`` for ``-``
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent["Authorization"] = f"Bearer {self.key}"
        content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = Client().generic(method, f"/api/v1{path}", headers=sent, **content)
        return Answer(response.status_code, _read(response), dict(response.headers))

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.ask("DELETE", path, **headers)


def _read(response: Any) -> Any:
    """What JSON says, a file as it is, None where there is neither."""
    content = response.getvalue()
    if "json" in response.headers.get("Content-Type", ""):
        return json.loads(content)
    return content if response.streaming else None


def queries_of(asks: Program, path: str) -> int:
    asks.get("/me")  # notes by the minute that the access token was used
    with CaptureQueriesContext(connection) as context:
        answer = asks.get(path)
    assert answer.status == 200
    return len(context)


@pytest.fixture(autouse=True)
def _fresh_windows() -> None:
    cache.clear()


@pytest.fixture
def program() -> Callable[..., Program]:
    """A program with an access token of a person's; with all scopes unless told otherwise."""

    def make(user: User, *scopes: str) -> Program:
        _token, key = create_access_token(
            actor=None, user=user, name="a program", scopes=list(scopes) or ["admin"]
        )
        return Program(key)

    return make


@pytest.fixture
def root(db: None) -> User:
    """Every installation has one."""
    return make_root()
