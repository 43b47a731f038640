"""What is asked of providers does not depend on the database, so one of the two runs is enough."""

from collections.abc import Iterator

import pytest

from tests.billing.upstream.balances.provider import Provider, providing
from tests.settings import TEST_DATABASE

collect_ignore_glob = [] if TEST_DATABASE == "sqlite" else ["*/test_*.py"]


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    with providing() as server:
        yield server


@pytest.fixture
def provider(running_provider: Provider) -> Iterator[Provider]:
    running_provider.start_again()
    yield running_provider
    running_provider.release.set()
