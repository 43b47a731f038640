"""A whole installation, started by the product's own command, on the database under test."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser

from tests.serve.installation import Installation, Serving
from tests.story.people import Person
from tests.support import postgres

PASSWORD = "a pass phrase for the story"


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Nothing for the embedded default; the URL of an empty database for PostgreSQL."""
    if os.environ.get("TEST_DATABASE") != "postgresql":
        return {}
    url = postgres.start()
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS story")
        connection.execute("CREATE DATABASE story")
    return {"DATABASE_URL": f"{url}/story"}


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Serving]:
    data_dir: Path = tmp_path_factory.mktemp("story") / "data"
    data_dir.mkdir()
    installation = Installation(data_dir, {"ROOT_PASSWORD": PASSWORD, **environment})
    with installation.serving("--roles", "web,worker,beat,sandbox") as running:
        running.wait_until_ready()
        # Made by the first start of an embedded installation; here on PostgreSQL too.
        installation.shell("from oneapi_admin import sandbox_channel; sandbox_channel.create()")
        yield running


@pytest.fixture
def root(browser: Browser, serving: Serving) -> Iterator[Person]:
    with Person.in_a_browser(browser, serving.url) as person:
        person.sign_in("root", PASSWORD)
        yield person


@pytest.fixture
def visitor(browser: Browser, serving: Serving) -> Iterator[Person]:
    with Person.in_a_browser(browser, serving.url) as person:
        yield person
