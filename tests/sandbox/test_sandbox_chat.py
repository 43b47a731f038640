import json
import socket
from typing import Any

import openai
import pytest

from sandbox.tokens import count_prompt, count_text
from tests.sandbox.server import Reply, SandboxServer

PROMPT = "say after me: the quick brown fox"
WORDS = PROMPT.split()


def events(reply: Reply) -> list[dict[str, Any]]:
    lines = reply.body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def text_of(chunks: list[dict[str, Any]], *, index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def raw_exchange(server: SandboxServer, body: dict[str, Any]) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(raw_request(server, body))
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


def raw_request(server: SandboxServer, body: dict[str, Any]) -> bytes:
    raw = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n"
        f"Authorization: Bearer {server.api_key}\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw


def sends_in(received: bytes) -> int:
    """Count the HTTP chunks of an answer: the server makes one of each send."""
    _, _, rest = received.partition(b"\r\n\r\n")
    sends = 0
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        sends += int(size, 16) > 0
        rest = rest[int(size, 16) + 2 :]
    return sends


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    assert sorted(model.id for model in client.models.list()) == [
        "sandbox-drop",
        "sandbox-echo",
        "sandbox-exhausted-capacity",
        "sandbox-insufficient-quota",
        "sandbox-invalid-key",
        "sandbox-no-usage",
        "sandbox-rate-limit",
        "sandbox-server-error",
        "sandbox-slow",
        "sandbox-spend-limit",
    ]
    assert client.models.retrieve("sandbox-echo").owned_by == "sandbox"


def test_echo_answers_with_the_last_user_message_and_counts_its_usage(client: openai.OpenAI) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "you repeat"},
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": None},
    ]

    answer = client.chat.completions.create(model="sandbox-echo", messages=messages)

    assert answer.choices[0].message.content == PROMPT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == count_prompt(messages) == 4 + 2 + 4 + 7 + 4 + 1
    assert answer.usage.completion_tokens == count_text(PROMPT) == 7
    assert answer.usage.total_tokens == 29


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_to_the_last_words_that_fit(sandbox: SandboxServer, name: str) -> None:
    limit: dict[str, Any] = {name: 3}
    answer = sandbox.chat(text=PROMPT, **limit).json()

    assert answer["choices"][0]["message"]["content"] == "quick brown fox"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


def test_an_answer_that_just_fits_is_not_cut(sandbox: SandboxServer) -> None:
    answer = sandbox.chat(text=PROMPT, max_tokens=len(WORDS)).json()

    assert answer["choices"][0]["finish_reason"] == "stop"


def test_every_choice_is_answered_and_counted(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="sandbox-echo", messages=[{"role": "user", "content": PROMPT}], n=3
    )

    assert [(choice.index, choice.message.content) for choice in answer.choices] == [
        (0, PROMPT),
        (1, PROMPT),
        (2, PROMPT),
    ]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 21


def test_text_and_image_parts_are_accepted(client: openai.OpenAI) -> None:
    content: list[Any] = [
        {"type": "text", "text": "describe this"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
    ]

    answer = client.chat.completions.create(
        model="sandbox-echo", messages=[{"role": "user", "content": content}]
    )

    assert answer.choices[0].message.content == "describe this"


def test_chinese_is_answered_in_readable_utf8(sandbox: SandboxServer) -> None:
    reply = sandbox.chat(text="请复述:你好世界", max_tokens=4)

    assert '"content":"你好世界"'.encode() in reply.body


def test_half_a_surrogate_pair_does_not_break_the_answer(sandbox: SandboxServer) -> None:
    reply = sandbox.chat(text="odd \ud83d end")

    assert reply.json()["choices"][0]["message"]["content"] == "odd ? end"


def test_an_empty_message_still_gets_an_answer_of_one_token(sandbox: SandboxServer) -> None:
    answer = sandbox.chat(text="").json()

    assert answer["choices"][0]["message"]["content"] == "(nothing)"
    assert answer["usage"]["prompt_tokens"] == 5
    assert answer["usage"]["completion_tokens"] == 1


def test_a_stream_without_include_usage_has_no_usage_at_all(sandbox: SandboxServer) -> None:
    chunks = events(sandbox.chat(text=PROMPT, stream=True))

    assert all("usage" not in chunk for chunk in chunks)
    assert all(chunk["choices"] for chunk in chunks)
    assert text_of(chunks) == PROMPT


def test_a_stream_with_include_usage_ends_with_a_chunk_of_usage_only(sandbox: SandboxServer) -> None:
    *chunks, last = events(sandbox.chat(text=PROMPT, stream=True, stream_options={"include_usage": True}))

    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 11
    assert last["usage"]["completion_tokens"] == 7
    assert last["id"] == chunks[0]["id"]


def test_a_stream_opens_with_the_role_and_closes_with_the_reason(sandbox: SandboxServer) -> None:
    chunks = events(sandbox.chat(text=PROMPT, stream=True, max_tokens=2))

    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "brown"},
        {"content": " fox"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "length"]


def test_the_official_client_reads_a_stream_with_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="sandbox-echo",
        messages=[{"role": "user", "content": "你好 world"}],
        n=2,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk.model_dump() for chunk in stream]

    assert text_of(chunks, index=0) == text_of(chunks, index=1) == "你好 world"
    assert chunks[-1]["usage"]["completion_tokens"] == 6


@pytest.mark.parametrize("stream", [False, True])
def test_the_sandbox_field_forces_the_length(sandbox: SandboxServer, *, stream: bool) -> None:
    sandbox.chat(text="a b", stream=stream, sandbox={"completion_tokens": 50})
    sandbox.chat(text="a b", stream=stream, max_tokens=20, sandbox={"completion_tokens": 50})

    recent = sandbox.requests()["recent"]
    assert [record["completion_tokens"] for record in recent] == [50, 20]


def test_a_forced_answer_has_as_many_tokens_as_it_says(sandbox: SandboxServer) -> None:
    answer = sandbox.chat(text="你好 a", sandbox={"completion_tokens": 9}).json()

    assert count_text(answer["choices"][0]["message"]["content"]) == 9
    assert answer["usage"]["completion_tokens"] == 9
    assert answer["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("chunks", [1, 3, 10, 25])
def test_the_sandbox_field_forces_the_number_of_chunks(sandbox: SandboxServer, chunks: int) -> None:
    forced = {"completion_tokens": 10, "chunks": chunks}
    received = events(sandbox.chat(text="a b", stream=True, sandbox=forced))

    assert len(received) == 1 + chunks + 1
    assert count_text(text_of(received)) == 10


def test_a_stream_without_delay_is_sent_at_once(sandbox: SandboxServer) -> None:
    body = {"model": "sandbox-echo", "messages": [{"role": "user", "content": PROMPT}], "stream": True}

    assert sends_in(raw_exchange(sandbox, body)) == 1


def test_a_stream_with_a_delay_is_sent_chunk_by_chunk(sandbox: SandboxServer) -> None:
    body = {
        "model": "sandbox-echo",
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": True,
        "sandbox": {"completion_tokens": 6, "delay_ms": 1},
    }

    assert sends_in(raw_exchange(sandbox, body)) == 1 + 6


def test_a_very_long_stream_arrives_whole(sandbox: SandboxServer) -> None:
    chunks = events(sandbox.chat(stream=True, sandbox={"completion_tokens": 20_000}))

    assert count_text(text_of(chunks)) == 20_000


def test_a_client_that_leaves_a_stream_is_charged_for_what_was_generated(sandbox: SandboxServer) -> None:
    body = {
        "model": "sandbox-echo",
        "messages": [{"role": "user", "content": "go"}],
        "stream": True,
        "sandbox": {"completion_tokens": 1000, "delay_ms": 20},
    }

    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as connection:
        connection.sendall(raw_request(sandbox, body))
        received = b""
        while received.count(b"data: ") < 4:
            received += connection.recv(65536)
    seen = sandbox.wait_for_requests(lambda requests: requests["disconnected"] == 1)

    generated = seen["recent"][-1]["completion_tokens"]
    assert 3 <= generated < 1000
    assert seen["models"]["sandbox-echo"]["disconnected"] == 1
    assert sandbox.account()["used_usd"] == f"0.{5 + 2 * generated:06d}".rstrip("0").ljust(4, "0")


def test_a_client_that_leaves_before_the_answer_is_charged_for_its_prompt(sandbox: SandboxServer) -> None:
    body = {
        "model": "sandbox-echo",
        "messages": [{"role": "user", "content": "go"}],
        "sandbox": {"delay_ms": 60_000},
    }

    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as connection:
        connection.sendall(raw_request(sandbox, body))
        sandbox.wait_for_requests(lambda requests: len(requests["recent"]) == 1)
    seen = sandbox.wait_for_requests(lambda requests: requests["disconnected"] == 1)

    assert seen["recent"][-1]["completion_tokens"] == 0
    assert sandbox.account()["used_usd"] == "0.000005"


def test_a_client_that_leaves_leaves_no_line_in_the_log(sandbox: SandboxServer) -> None:
    before = sandbox.log_path.read_text(encoding="utf-8")
    body = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "go"}]}

    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=30) as connection:
        connection.sendall(raw_request(sandbox, body)[:-5])
    sandbox.wait_for_requests(lambda requests: requests["disconnected"] == 1)

    assert sandbox.log_path.read_text(encoding="utf-8") == before
