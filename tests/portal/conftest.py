"""A person with a session, and the header by which htmx makes itself known."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from tests.factories import make_user
from tests.support.chat_services import ChatServices, chat_services

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ann(db: None) -> User:
    return make_user(username="ann", balance=5_000_000)


@pytest.fixture
def console(ann: User) -> Client:
    client = Client()
    client.force_login(ann)
    return client


@pytest.fixture
def chats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServices]:
    """Whatever is sent to a chat service arrives here."""
    with chat_services(tmp_path) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.certificate))
        yield running
