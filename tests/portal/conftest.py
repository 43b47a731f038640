"""A person with a session, and the header by which htmx makes itself known."""

import pytest
from django.test import Client

from accounts.models import User
from tests.factories import make_user

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ann(db: None) -> User:
    return make_user(username="ann", balance=5_000_000)


@pytest.fixture
def console(ann: User) -> Client:
    client = Client()
    client.force_login(ann)
    return client
