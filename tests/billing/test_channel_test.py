"""The availability test, against a real sandbox and against upstreams that misbehave."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing.models import Channel
from billing.services import channel_test
from tests.factories import NOON, make_channel
from tests.sandbox.server import SandboxServer, start_sandbox

pytestmark = pytest.mark.django_db

KEY = "sk-sandbox-0123456789"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), api_key=KEY) as server:
        yield server


class Scripted(HTTPServer):
    """Answers every request as told and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.bodies.append(json.loads(self.rfile.read(length) or b"{}"))
        status, body = self.server.answers.pop(0)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: object) -> None:
        """Keep the output of the tests clean."""


@pytest.fixture
def scripted(request: pytest.FixtureRequest) -> Iterator[Scripted]:
    with Scripted(*request.param) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def channel_of(sandbox: SandboxServer, **fields: Any) -> Channel:
    return make_channel(**{"base_url": sandbox.base_url, "key": KEY, "models": ["sandbox-echo"], **fields})


def test_a_channel_that_answers_has_its_time_kept(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)

    result = channel_test.test_channel(channel=channel, at=NOON)

    channel.refresh_from_db()
    assert (result.is_ok, result.model, result.error) == (True, "sandbox-echo", "")
    assert (channel.tested_at, channel.test_ms, channel.test_error) == (NOON, result.latency_ms, "")
    assert sandbox.requests()["recent"][-1]["model"] == "sandbox-echo"


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("sandbox-rate-limit", "HTTP 429: "),
        ("sandbox-insufficient-quota", "HTTP 429: You exceeded your current quota"),
        ("sandbox-invalid-key", "HTTP 401: "),
    ],
)
def test_what_the_provider_says_is_kept_in_words(model: str, status: str, sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox, models=["sandbox-echo", model])

    result = channel_test.test_channel(channel=channel, model=model, at=NOON)

    channel.refresh_from_db()
    assert not result.is_ok
    assert result.error.startswith(status)
    assert channel.test_error == result.error[:255]
    assert channel.test_ms is None


def test_a_success_takes_the_old_error_away(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox, models=["sandbox-echo", "sandbox-rate-limit"])
    channel_test.test_channel(channel=channel, model="sandbox-rate-limit", at=NOON)

    channel_test.test_channel(channel=channel, at=NOON)

    channel.refresh_from_db()
    assert channel.test_error == ""


def test_the_model_is_asked_for_by_the_name_that_the_provider_knows(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox, models=["house"], model_mapping={"house": "sandbox-echo"})

    assert channel_test.test_channel(channel=channel, at=NOON).is_ok


def test_a_wrong_key_is_reported_without_being_repeated(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox, key="sk-wrong-key-that-is-long")

    result = channel_test.test_channel(channel=channel, at=NOON)

    assert result.error.startswith("HTTP 401: ")
    assert "sk-wrong-key-that-is-long" not in result.error


@pytest.mark.parametrize(
    ("base_url", "reason"),
    [
        ("http://127.0.0.1:1", "The connection was refused"),
        ("http://nowhere.invalid", "host name could not be found"),
    ],
)
def test_an_address_where_nobody_answers_is_named_as_such(base_url: str, reason: str) -> None:
    result = channel_test.test_channel(channel=make_channel(base_url=base_url), at=NOON)

    assert reason in result.error


@pytest.mark.parametrize(
    ("scripted", "reason"),
    [
        ([(200, "<!DOCTYPE html><title>Sign in</title>")], "a web page instead of JSON"),
        ([(200, "ok")], "not JSON"),
        ([(200, '{"error": {"message": "no such token"}}')], "no such token"),
        ([(200, '{"object": "list"}')], "not a chat completion"),
        ([(200, '["a"]')], "not JSON"),
        ([(500, "oops")], "HTTP 500"),
        ([(400, '[{"error": {"message": "API key not valid"}}]')], "HTTP 400: API key not valid"),
        ([(200, "[" * 200_000)], "not JSON"),
        ([(200, " " * (2 * 1024 * 1024 + 1))], "larger than 2 MiB"),
    ],
    indirect=["scripted"],
)
def test_an_answer_that_is_no_completion_is_a_failure_in_words(scripted: Scripted, reason: str) -> None:
    result = channel_test.test_channel(channel=make_channel(base_url=scripted.url), at=NOON)

    assert reason in result.error


@pytest.mark.parametrize("scripted", [[(302, "http://127.0.0.1:1/elsewhere")]], indirect=True)
def test_a_redirect_is_not_followed_with_the_key(scripted: Scripted) -> None:
    result = channel_test.test_channel(channel=make_channel(base_url=scripted.url), at=NOON)

    assert result.error.startswith("HTTP 302")


@pytest.mark.parametrize(
    "scripted",
    [[(400, '{"error": {"message": "Use max_completion_tokens instead"}}'), (200, '{"choices": [{}]}')]],
    indirect=True,
)
def test_models_with_the_newer_name_of_the_limit_are_asked_once_more(scripted: Scripted) -> None:
    result = channel_test.test_channel(channel=make_channel(base_url=scripted.url), at=NOON)

    assert result.is_ok
    assert "max_tokens" in scripted.bodies[0]
    assert "max_completion_tokens" in scripted.bodies[1]
    assert "max_tokens" not in scripted.bodies[1]


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_provider_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    call = channel_test.call

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(connection.in_atomic_block)
        return call(*args, **kwargs)

    monkeypatch.setattr(channel_test, "call", watched)
    channel_test.test_channel(channel=make_channel(base_url="http://127.0.0.1:1"), at=NOON)

    assert seen == [False]


def test_the_models_of_a_provider_can_be_listed(sandbox: SandboxServer) -> None:
    names = channel_test.list_models(base_url=sandbox.origin, key=KEY)

    assert "sandbox-echo" in names
    assert names == sorted(names)


def test_the_command_says_how_long_it_took(
    sandbox: SandboxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("test_channel", str(channel_of(sandbox).pk))

    assert "upstream (sandbox-echo) answered in" in capsys.readouterr().out


def test_the_command_fails_with_the_reason(sandbox: SandboxServer) -> None:
    channel = channel_of(sandbox)

    with pytest.raises(CommandError, match="HTTP 429"):
        call_command("test_channel", str(channel.pk), "--model", "sandbox-rate-limit")
    with pytest.raises(CommandError, match="no channel 999999"):
        call_command("test_channel", "999999")
