import http.client
import time

import openai
import pytest

from tests.sandbox.server import SandboxServer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "kind", "code"),
    [
        ("sandbox-rate-limit", 429, "requests", "rate_limit_exceeded"),
        ("sandbox-insufficient-quota", 429, "insufficient_quota", "insufficient_quota"),
        ("sandbox-spend-limit", 400, "invalid_request_error", "billing_hard_limit_reached"),
        ("sandbox-invalid-key", 401, "invalid_request_error", "invalid_api_key"),
        ("sandbox-exhausted-capacity", 429, None, 429),
        ("sandbox-server-error", 500, "server_error", None),
    ],
)
def test_each_failing_model_fails_in_its_way_and_costs_nothing(
    sandbox: SandboxServer, model: str, status: int, kind: str | None, code: str | int | None, *, stream: bool
) -> None:
    reply = sandbox.chat(model, stream=stream)

    error = reply.json()["error"]
    assert (reply.status, error.get("type"), error["code"]) == (status, kind, code)
    assert sandbox.account()["used_usd"] == "0.00"


def test_a_rate_limit_says_when_to_come_back(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError, match="Please try again in 2s") as caught:
        client.chat.completions.create(
            model="sandbox-rate-limit", messages=[{"role": "user", "content": "hi"}]
        )

    headers = caught.value.response.headers
    assert headers["retry-after"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"] == "2s"
    assert headers["x-ratelimit-limit-requests"] == "60"


def test_exhausted_capacity_has_googles_body_with_the_true_delay(sandbox: SandboxServer) -> None:
    error = sandbox.chat("sandbox-exhausted-capacity").json()["error"]

    assert (
        error["message"] == "You have exhausted your capacity on this model. Your quota will reset after 0s."
    )
    assert error["status"] == "RESOURCE_EXHAUSTED"
    assert error["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
    assert error["details"][1]["retryDelay"] == "0.539477544s"


def test_no_usage_answers_without_usage_but_is_charged(sandbox: SandboxServer) -> None:
    answer = sandbox.chat("sandbox-no-usage", "one two").json()

    assert "usage" not in answer
    assert answer["choices"][0]["message"]["content"] == "one two"
    assert sandbox.account()["used_usd"] == "0.00001"


def test_no_usage_leaves_it_out_of_a_stream_that_asks_for_it(sandbox: SandboxServer) -> None:
    reply = sandbox.chat("sandbox-no-usage", stream=True, stream_options={"include_usage": True})

    assert b'"usage"' not in reply.body
    assert reply.body.endswith(b"data: [DONE]\n\n")


def test_drop_cuts_a_stream_in_its_middle(sandbox: SandboxServer) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        sandbox.chat("sandbox-drop", "one two three four", stream=True)

    assert caught.value.partial.count(b'"content":') == 1 + 2
    assert b"[DONE]" not in caught.value.partial
    assert sandbox.account()["used_usd"] == "0.000012"


def test_drop_cuts_a_json_answer_in_its_middle(sandbox: SandboxServer) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        sandbox.chat("sandbox-drop", "one two three four")

    assert caught.value.partial.startswith(b'{"id":"chatcmpl-')
    assert sandbox.account()["used_usd"] == "0.000016"


def test_drop_leaves_no_line_in_the_log(sandbox: SandboxServer) -> None:
    before = sandbox.log_path.read_text(encoding="utf-8")

    with pytest.raises(http.client.IncompleteRead):
        sandbox.chat("sandbox-drop", stream=True)

    sandbox.requests()
    assert sandbox.log_path.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("stream", [False, True])
def test_slow_answers_like_echo_after_its_time(sandbox: SandboxServer, *, stream: bool) -> None:
    began = time.monotonic()

    reply = sandbox.chat("sandbox-slow", "one two three", stream=stream)

    assert time.monotonic() - began >= 0.29
    assert b"three" in reply.body
    assert sandbox.account()["used_usd"] == "0.000013"


def test_slow_spreads_the_chunks_of_a_stream(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="sandbox-slow", messages=[{"role": "user", "content": "one two three"}], stream=True
    )
    arrived = [time.monotonic() for chunk in stream if chunk.choices[0].delta.content]

    assert arrived[1] - arrived[0] >= 0.05
    assert arrived[2] - arrived[1] >= 0.05
