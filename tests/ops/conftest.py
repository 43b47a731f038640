from collections.abc import Callable

import pytest
from django.test import Client

from accounts.models import User
from tests.factories import make_admin, make_root, make_user


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
