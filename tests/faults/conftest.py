"""An upstream, and databases that can be taken away."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import pytest
from django.db import connection

from tests.relay.conftest import channel, sandbox, sandbox_server  # noqa: F401  the same upstream
from tests.settings import TEST_DATABASE
from tests.support import postgres
from tests.support.pg_proxy import PostgresProxy, postgres_proxy
from tests.support.processes import database_url

ON_POSTGRESQL = TEST_DATABASE == "postgresql"
collect_ignore_glob = [] if ON_POSTGRESQL else ["test_postgresql_*.py"]


@pytest.fixture(scope="session")
def proxy(django_db_setup: None) -> Iterator[PostgresProxy]:
    """In front of the tests' PostgreSQL."""
    with postgres_proxy(postgres.running(postgres.FAST).folder) as running:
        yield running


@pytest.fixture(scope="session")
def proxied_url(proxy: PostgresProxy) -> str:
    name = connection.settings_dict["NAME"]
    return f"postgresql://postgres@{quote(str(proxy.folder), safe='')}/{name}"


class Outage(Protocol):
    """A database that the processes with this environment can lose while the test has it."""

    environment: dict[str, str]

    def begin(self) -> None: ...
    def end(self) -> None: ...


class _Disconnection:
    """Every connection to PostgreSQL is cut, and every new one."""

    def __init__(self, proxy: PostgresProxy, url: str) -> None:
        self.environment = {"DATABASE_URL": url}
        self.begin, self.end = proxy.go_away, proxy.come_back


class _Lock:
    """Another process has the SQLite file for longer than writers wait for it."""

    def __init__(self, path: str) -> None:
        self.environment = {"BUSY_SECONDS": "0.2"}
        self._holder = sqlite3.connect(path, isolation_level=None, timeout=20)

    def begin(self) -> None:
        self._holder.execute("BEGIN EXCLUSIVE")

    def end(self) -> None:
        if self._holder.in_transaction:
            self._holder.execute("ROLLBACK")

    def close(self) -> None:
        self._holder.close()


@pytest.fixture
def outage(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[Outage]:
    """Not begun yet; it is over when the test is."""
    if ON_POSTGRESQL:
        cut = _Disconnection(request.getfixturevalue("proxy"), request.getfixturevalue("proxied_url"))
        yield cut
        cut.end()
        return
    with contextlib.closing(_Lock(database_url().removeprefix("sqlite:///"))) as lock:
        yield lock
        lock.end()


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """Where the processes of a test keep what the ledger does not have."""
    return tmp_path / "journal"
