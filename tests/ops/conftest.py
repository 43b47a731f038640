from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings
from redis import Redis

from accounts.models import User
from oneapi_admin.lib import vitals
from tests.factories import make_admin, make_root, make_user
from tests.support.chat_services import ChatServices, chat_services


@pytest.fixture
def root(db: None) -> User:
    return make_root()


@pytest.fixture
def admin(db: None) -> User:
    return make_admin()


@pytest.fixture
def person(db: None) -> User:
    return make_user(balance=1_000)


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    """A browser in which somebody is signed in."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def root_client(root: User, signed_in: Callable[[User], Client]) -> Client:
    return signed_in(root)


@pytest.fixture
def admin_client(admin: User, signed_in: Callable[[User], Client]) -> Client:
    return signed_in(admin)


@pytest.fixture
def store(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """A database of its own in the tests' Redis, in which no process has told yet how it is."""
    settings.REDIS_URL = settings.REDIS_URL.replace("?db=0", "?db=7")
    monkeypatch.setattr(vitals, "_own", {})
    vitals._client.cache_clear()
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.flushdb()
        yield redis
        redis.flushdb()
    vitals._client.cache_clear()


@pytest.fixture
def chats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServices]:
    """Whatever is sent to a chat service arrives here."""
    with chat_services(tmp_path) as running:
        monkeypatch.setenv("HTTPS_PROXY", running.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(running.certificate))
        yield running
