"""A sandbox upstream for the session and a web process for each test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import openai
import pytest

from billing.models import Channel
from tests.factories import MadeToken, make_channel, make_token_price
from tests.sandbox.server import SandboxServer, start_sandbox
from tests.support.processes import WebProcess, web_processes

SANDBOX_MODELS = [
    "sandbox-echo",
    "sandbox-rate-limit",
    "sandbox-insufficient-quota",
    "sandbox-spend-limit",
    "sandbox-invalid-key",
    "sandbox-exhausted-capacity",
    "sandbox-slow",
    "sandbox-drop",
    "sandbox-no-usage",
    "sandbox-server-error",
]


@pytest.fixture(scope="session")
def sandbox_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with start_sandbox(Path(tmp_path_factory.mktemp("sandbox"))) as server:
        yield server


@pytest.fixture
def sandbox(sandbox_server: SandboxServer) -> SandboxServer:
    sandbox_server.reset()
    return sandbox_server


@pytest.fixture
def channel(transactional_db: None, sandbox: SandboxServer) -> Channel:
    for model in SANDBOX_MODELS:
        make_token_price(model)
    return make_channel(
        name="sandbox",
        base_url=sandbox.origin,
        key=sandbox.api_key,
        models=[*SANDBOX_MODELS, "unpriced-model"],
    )


@pytest.fixture(scope="session")
def web(django_db_setup: None) -> Iterator[WebProcess]:
    """One server for all tests: what it caches goes by the configuration's version, which only ever grows."""
    with web_processes(1) as [server]:
        yield server


@pytest.fixture
def client_of(web: WebProcess) -> Iterator[Callable[[MadeToken], openai.OpenAI]]:
    """OpenAI's own client for a token; it never tries again by itself."""
    with ExitStack() as stack:
        yield lambda made: stack.enter_context(
            openai.OpenAI(base_url=f"{web.origin}/v1", api_key=made.key, max_retries=0)
        )
