import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import pytest

from sandbox.app import Sandbox, Settings
from tests.sandbox.server import ROOT, SandboxServer, start_sandbox

MESSAGES = [{"role": "user", "content": "hi"}]


def post(server: SandboxServer, body: object) -> tuple[int, str | None, str | None]:
    reply = server.request("POST", "/v1/chat/completions", body)
    error = reply.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    return reply.status, error["param"], error["code"]


def test_a_missing_key_is_401_without_a_code(sandbox: SandboxServer) -> None:
    reply = sandbox.request("POST", "/v1/chat/completions", {}, headers={})

    assert reply.status == 401
    assert reply.json()["error"]["code"] is None


def test_a_wrong_key_is_401_and_shown_masked(sandbox: SandboxServer) -> None:
    wrong = openai.OpenAI(base_url=sandbox.base_url, api_key="sk-wrong-key-of-somebody", max_retries=0)

    with wrong, pytest.raises(openai.AuthenticationError) as caught:
        wrong.models.list()

    assert caught.value.code == "invalid_api_key"
    assert "sk-wron********body" in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff\xfe\xfd", b"[" * 100_000, b"1" * 5000])
def test_a_body_that_is_no_json_object_is_400(sandbox: SandboxServer, raw: bytes) -> None:
    assert post(sandbox, raw) == (400, None, None)


def test_an_unknown_model_is_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])

    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": None}, None, None),
        ({"model": 5}, "model", "invalid_type"),
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role", "invalid_type"),
        ({"messages": [{"role": "boss", "content": "hi"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content[0]", "invalid_type"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]},
            "messages[0].content[0].text",
            "invalid_type",
        ),
        ({"max_tokens": -1}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"max_tokens": True}, "max_tokens", "invalid_type"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens", "invalid_type"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "invalid_parameter_combination"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"stream": True, "stream_options": 1}, "stream_options", "invalid_type"),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            "invalid_type",
        ),
        ({"sandbox": 1}, "sandbox", "invalid_type"),
        (
            {"n": 2, "sandbox": {"completion_tokens": 500_001}},
            "sandbox.completion_tokens",
            "integer_above_max_value",
        ),
        ({"sandbox": {"chunks": 0}}, "sandbox.chunks", "integer_below_min_value"),
        ({"sandbox": {"delay_ms": 60_001}}, "sandbox.delay_ms", "integer_above_max_value"),
    ],
)
def test_a_parameter_at_fault_is_400_and_named(
    sandbox: SandboxServer, fields: dict[str, Any], param: str | None, code: str | None
) -> None:
    body = {"model": "sandbox-echo", "messages": MESSAGES, **fields}

    assert post(sandbox, body) == (400, param, code)


def test_null_means_not_given(sandbox: SandboxServer) -> None:
    reply = sandbox.chat(max_tokens=None, n=None, stream=None, stream_options=None, sandbox=None)

    assert reply.status == 200


def test_a_body_over_32_megabytes_is_413(sandbox: SandboxServer) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as connection:
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: sandbox\r\n"
            f"Authorization: Bearer {sandbox.api_key}\r\nContent-Length: {32 * 1024 * 1024 + 1}\r\n\r\n"
        )
        connection.sendall(head.encode())
        received = connection.recv(65536)

    assert received.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_over_32_megabytes_is_413() -> None:
    part = {"type": "http.request", "body": b" " * (1 << 20), "more_body": True}
    sent: list[Any] = []

    async def receive() -> Any:
        return part

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "headers": [(b"authorization", b"Bearer sk-sandbox")],
    }
    asyncio.run(Sandbox(Settings())(scope, receive, send))

    assert sent[0]["status"] == 413


def test_a_body_just_under_the_limit_is_read(sandbox: SandboxServer) -> None:
    reply = sandbox.chat(text="word " * 6_000_000, max_tokens=1)

    assert reply.json()["usage"]["prompt_tokens"] == 6_000_004


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/models/gpt-4o", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/sandbox/account", 405),
    ],
)
def test_an_unknown_path_or_method_is_refused_in_openais_shape(
    sandbox: SandboxServer, method: str, path: str, status: int
) -> None:
    reply = sandbox.request(method, path)

    assert reply.status == status
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_healthz_needs_no_key(sandbox: SandboxServer) -> None:
    assert sandbox.request("GET", "/healthz", headers={}).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sandbox/account"),
        ("POST", "/sandbox/account"),
        ("GET", "/sandbox/requests"),
        ("POST", "/sandbox/reset"),
    ],
)
def test_the_controls_need_the_key_and_a_loopback_client(
    sandbox: SandboxServer, method: str, path: str
) -> None:
    assert sandbox.request(method, path, headers={}).status == 401
    assert asyncio.run(status_for("192.0.2.7", method, path)) == 403
    assert asyncio.run(status_for("::1", method, path)) != 403


async def status_for(client: str, method: str, path: str) -> int:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", b"Bearer sk-sandbox")]
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "client": (client, 5)}
    await Sandbox(Settings())(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def test_a_forwarded_header_does_not_make_a_stranger_of_a_local_client(sandbox: SandboxServer) -> None:
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "X-Forwarded-For": "192.0.2.7"}

    assert sandbox.request("GET", "/sandbox/account", headers=headers).status == 200


def test_the_requests_are_counted_per_model_with_their_parameters(sandbox: SandboxServer) -> None:
    sandbox.chat(text="one two", max_tokens=1, temperature=0.5)
    sandbox.chat(stream=True, stream_options={"include_usage": True}, n=2)
    sandbox.chat("sandbox-rate-limit")
    sandbox.chat("gpt-4o")

    seen = sandbox.requests()

    assert seen["total"] == 4
    assert seen["models"] == {
        "(other)": {"total": 1, "stream": 0, "disconnected": 0, "status": {"404": 1}},
        "sandbox-echo": {"total": 2, "stream": 1, "disconnected": 0, "status": {"200": 2}},
        "sandbox-rate-limit": {"total": 1, "stream": 0, "disconnected": 0, "status": {"429": 1}},
    }
    assert seen["recent"][0] == {
        "model": "sandbox-echo",
        "stream": False,
        "max_tokens": 1,
        "include_usage": False,
        "n": 1,
        "user": None,
        "keys": ["max_tokens", "messages", "model", "temperature"],
        "status": 200,
        "prompt_tokens": 6,
        "completion_tokens": 1,
        "is_disconnected": False,
    }
    assert [record["include_usage"] for record in seen["recent"]] == [False, True, False, False]
    assert [record["model"] for record in seen["recent"]][2:] == ["sandbox-rate-limit", "gpt-4o"]


def test_every_request_is_written_down_with_its_callers_mark(tmp_path: Path) -> None:
    record = tmp_path / "record"
    with start_sandbox(tmp_path, record=record) as server:
        server.chat(text="one two", user="call 7")
        server.chat("sandbox-server-error", user="call 8")

    lines = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert [(line["user"], line["status"], line["completion_tokens"]) for line in lines] == [
        ("call 7", 200, 2),
        ("call 8", 500, 0),
    ]


def test_it_stops_cleanly_when_told_to(tmp_path: Path) -> None:
    assert start_sandbox(tmp_path).stop() == 0


def test_it_stops_quietly_although_a_stream_is_under_way_and_charges_for_it(tmp_path: Path) -> None:
    with (
        start_sandbox(tmp_path, slow_seconds=600) as server,
        openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0) as client,
    ):
        stream = client.chat.completions.create(
            model="sandbox-slow", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        next(stream)

        assert server.stop() == 0

    assert json.loads(server.state_path.read_text(encoding="utf-8"))["used"] == 5
    assert "Traceback" not in server.log_path.read_text(encoding="utf-8")


def test_a_taken_port_ends_the_start_with_a_message(sandbox: SandboxServer) -> None:
    command = [sys.executable, "-m", "sandbox", "--port", str(sandbox.port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("sandbox: cannot start: ")


def test_it_imports_no_django(tmp_path: Path) -> None:
    script = "import sys, sandbox.app, sandbox.__main__; print('django' in sys.modules)"
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)

    assert ended.stdout == "False\n"
