"""Installations for tests of the running product, which are the same on every database but for a few."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.installation import Installation, Serving

if os.environ.get("TEST_DATABASE") == "postgresql":
    collect_ignore_glob = ["test_[!p]*.py"]


@pytest.fixture(scope="session")
def refused_start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, str]:
    """An empty folder whose first start got as far as making root, and what it complained about."""
    installation = Installation(tmp_path_factory.mktemp("refused") / "data")
    done = installation.manage("bootstrap", ROOT_USERNAME="not a name")
    assert done.returncode == 1
    return installation, done.stderr


@pytest.fixture(scope="session")
def first_start(
    refused_start: tuple[Installation, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Installation, str]:
    """An installation whose first start was a ``bootstrap``, and what that printed."""
    installation = refused_start[0].copy(tmp_path_factory.mktemp("first") / "data")
    done = installation.manage("bootstrap")
    assert done.returncode == 0, done.stderr
    return installation, done.stdout


@pytest.fixture
def installation(first_start: tuple[Installation, str], tmp_path: Path) -> Installation:
    """A copy of it to do with as one likes."""
    return first_start[0].copy(tmp_path / "data")


@pytest.fixture
def unstarted(refused_start: tuple[Installation, str], tmp_path: Path) -> Installation:
    """A copy of an installation without root."""
    return refused_start[0].copy(tmp_path / "data")


@pytest.fixture(scope="session")
def server(
    first_start: tuple[Installation, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A running installation; every test leaves it ready."""
    installation = first_start[0].copy(tmp_path_factory.mktemp("server") / "data")
    with installation.serving() as serving:
        yield serving.wait_until_ready()
