"""What a chat request is read as, and what is sent upstream of it."""

import json
from typing import Any

import pytest

from relay.chat import ChatRequest, parse_chat_request
from relay.errors import InvalidRequestError

HELLO = [{"role": "user", "content": "hi"}]


def request(**fields: Any) -> ChatRequest:
    return parse_chat_request(json.dumps({"model": "m", "messages": HELLO, **fields}).encode())


def sent(chat: ChatRequest, *, served_model: str = "m", output_limit: int | None = None) -> dict[str, Any]:
    return json.loads(chat.upstream_body(served_model=served_model, output_limit=output_limit))


def test_the_least_request_has_one_choice_no_limit_and_no_stream() -> None:
    chat = request()

    assert (chat.model, chat.choices, chat.output_limit) == ("m", 1, None)
    assert (chat.is_stream, chat.wants_usage) == (False, False)


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 9),
        ({"max_tokens": None}, None),
        ({"max_tokens": 2**31 - 1}, 2**31 - 1),
    ],
)
def test_the_larger_of_two_limits_counts_because_either_may_be_followed(fields, limit) -> None:
    assert request(**fields).output_limit == limit


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": 2**31}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 1.0}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"stream": 1}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"stream": False, "stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": "all"}, "stream_options"),
        ({"model": ["m"]}, "model"),
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": [[]]}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
    ],
)
def test_a_field_that_decides_about_money_is_named_when_it_is_wrong(fields, param) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        request(**fields)

    assert refusal.value.context["param"] == param
    assert param in str(refusal.value)
    assert refusal.value.http_status == 400


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b"null", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        (b'{"a": 1,}', "line 1"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a":' * 100_000, "nests too deep"),
        (b'{"a": 1' + b"0" * 5_000 + b"}", "number that is too long"),
        (b'{"a": "\xe4\xb8"}', "byte 7"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_saying_where(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        parse_chat_request(raw)

    assert says in str(refusal.value)


def test_the_highest_values_are_still_taken() -> None:
    chat = request(model="m" * 128, n=128)

    assert (len(chat.model), chat.choices) == (128, 128)


def test_what_we_do_not_look_at_is_sent_on_as_it_came() -> None:
    fields = {"temperature": 0.25, "tools": [{"type": "function"}], "x": {"deep": [1, None, "中文 💥"]}}

    assert sent(request(**fields)) == {"model": "m", "messages": HELLO, **fields}


def test_the_channel_is_asked_for_its_own_name_of_the_model() -> None:
    assert sent(request(), served_model="their-name")["model"] == "their-name"


@pytest.mark.parametrize(
    ("options", "wants"),
    [(None, False), ({}, False), ({"include_usage": False}, False), ({"include_usage": True}, True)],
)
def test_a_stream_always_reports_its_usage_to_us(options, wants: bool) -> None:
    chat = request(stream=True, stream_options=options)

    assert chat.wants_usage is wants
    assert sent(chat)["stream_options"]["include_usage"] is True


def test_other_stream_options_are_kept() -> None:
    body = sent(request(stream=True, stream_options={"include_obfuscation": False}))

    assert body["stream_options"] == {"include_obfuscation": False, "include_usage": True}


@pytest.mark.parametrize(
    ("served_model", "name"),
    [
        ("gpt-4o", "max_tokens"),
        ("deepseek-chat", "max_tokens"),
        ("o1-mini", "max_completion_tokens"),
        ("o3", "max_completion_tokens"),
        ("gpt-5-mini", "max_completion_tokens"),
    ],
)
def test_a_limit_of_ours_goes_by_the_name_that_the_model_takes(served_model: str, name: str) -> None:
    body = sent(request(), served_model=served_model, output_limit=300)

    assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: 300}


def test_half_a_surrogate_pair_is_sent_on_as_the_escape_that_it_was() -> None:
    raw = rb'{"model": "m", "messages": [{"role": "user", "content": "\ud83d \u4e2d"}]}'

    body = parse_chat_request(raw).upstream_body(served_model="m", output_limit=None)

    assert json.loads(body)["messages"] == [{"role": "user", "content": "\ud83d 中"}]
    assert rb"\ud83d" in body


def test_the_last_of_two_fields_of_one_name_is_the_one_checked_and_sent() -> None:
    chat = parse_chat_request(b'{"model": "cheap", "model": "dear", "messages": [{}]}')

    assert chat.model == sent(chat, served_model="dear")["model"] == "dear"
