"""Programs that ask the management API."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

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
        answer = json.loads(response.content) if response.content else None
        return Answer(response.status_code, answer, dict(response.headers))

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("POST", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Answer:
        return self.ask("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.ask("DELETE", path, **headers)


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
