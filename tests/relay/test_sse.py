"""The filter between a provider's stream and the caller's."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.pricing import TokenCounts
from relay.sse import EventFilter

quick = settings(deadline=None, max_examples=60)
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
DONE = b"data: [DONE]\n\n"
CUT = ',"usage":null'
"""Looks like structure and stands inside a text."""


def event(text: str | None = None, *, end: str = "\n\n", **fields: Any) -> bytes:
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}}]
    return f"data: {json.dumps({'id': 'c', 'choices': choices, **fields}, ensure_ascii=False)}{end}".encode()


def parsed(stream: bytes) -> list[dict[str, Any]]:
    events = stream.replace(b"\r\n", b"\n").split(b"\n\n")
    return [json.loads(one.removeprefix(b"data: ")) for one in events if one.startswith(b"data: ")]


def texts(stream: bytes) -> str:
    return "".join(choice["delta"]["content"] for one in parsed(stream) for choice in one["choices"])


def fed(chunks: list[bytes], *, wants_usage: bool = False) -> tuple[EventFilter, bytes]:
    events = EventFilter(wants_usage=wants_usage)
    return events, b"".join(events.feed(chunk) for chunk in chunks)


STREAM = (
    b": keep-alive\n\n"
    + event("one", usage=None)
    + event(f"say {CUT} and 中文 💥", usage=None, end="\r\n\r\n")
    + event("two", usage={**USAGE, "completion_tokens": 1, "total_tokens": 11})
    + event(' "error" [DONE] ', usage=None)
    + event(None, usage=USAGE)
    + DONE
)


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_stream_that_arrives_byte_by_byte_says_the_same_as_one_that_arrives_at_once(wants_usage) -> None:
    whole, at_once = fed([STREAM], wants_usage=wants_usage)
    slow, by_bytes = fed([STREAM[at : at + 1] for at in range(len(STREAM))], wants_usage=wants_usage)

    assert parsed(by_bytes) == parsed(at_once)
    assert slow.usage == whole.usage == TokenCounts(prompt=10, completion=5)
    assert slow.is_done
    assert whole.is_done
    assert slow.served_text() == whole.served_text()


@quick
@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=12), st.booleans())
def test_however_a_stream_is_cut_into_pieces_it_says_the_same(cuts: set[int], wants_usage: bool) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in zip(places, places[1:], strict=False)]

    events, output = fed(pieces, wants_usage=wants_usage)

    assert parsed(output) == parsed(fed([STREAM], wants_usage=wants_usage)[1])
    assert (events.usage, events.is_done, events.has_error) == (
        TokenCounts(prompt=10, completion=5),
        True,
        False,
    )


def test_a_caller_who_did_not_ask_sees_no_trace_of_usage() -> None:
    _events, output = fed([STREAM])

    assert all("usage" not in one for one in parsed(output))
    assert len(parsed(output)) == 4
    assert texts(output) == f'onesay {CUT} and 中文 💥two "error" [DONE] '


@pytest.mark.parametrize("null", [',"usage":null', ', "usage": null', ',\n"usage" :  null'])
def test_no_spelling_of_a_missing_usage_passes(null: str) -> None:
    told = f'data: {{"choices": [{{"index": 0, "delta": {{"content": "a"}}}}]{null}}}\n\n'.encode()

    outputs = [fed([told])[1], fed([told + event(None, usage=USAGE) + DONE])[1]]

    assert [parsed(output) for output in outputs] == [
        [{"choices": [{"index": 0, "delta": {"content": "a"}}]}],
    ] * 2


def test_a_caller_who_asked_sees_every_event_as_it_came() -> None:
    _events, output = fed([STREAM], wants_usage=True)

    assert output == STREAM.removesuffix(DONE)


def test_events_without_usage_pass_unchanged_to_the_byte() -> None:
    stream = b": comment\n\n" + event("中") + event("b", end="\r\n\r\n") + b'event: x\ndata:{"a": 1}\n\n'

    assert fed([stream])[1] == stream


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("done", ["data: [DONE]", "data:[DONE]", "data: [DONE] "])
def test_the_end_is_held_back_and_nothing_after_it_passes(end: str, done: str) -> None:
    events, output = fed([event("a") + (done + end).encode() + event("too late")])

    assert texts(output) == "a"
    assert b"[DONE]" not in output
    assert events.is_done
    assert events.feed(event("later still")) == b""


def test_an_event_passes_as_soon_as_it_is_whole_and_not_before() -> None:
    events = EventFilter(wants_usage=False)
    one, two = event("one"), event("two")

    outputs = [events.feed(chunk) for chunk in (one[:7], one[7:-1], one[-1:] + two[:9], two[9:])]

    assert outputs == [b"", b"", one, two]


@pytest.mark.parametrize(
    "text", [CUT, ', "usage": null', '"usage":null', '\\",\\"usage\\":null', '"usage": {']
)
def test_a_text_that_looks_like_usage_is_left_alone(text: str) -> None:
    events, output = fed([event(text, usage=None)])

    assert texts(output) == text
    assert "usage" not in parsed(output)[0]
    assert events.usage is None


def test_usage_that_comes_with_text_is_read_and_the_text_passes_without_it() -> None:
    events, output = fed([event("last 中", usage=USAGE)])

    assert texts(output) == "last 中"
    assert "usage" not in parsed(output)[0]
    assert events.usage == TokenCounts(prompt=10, completion=5)


def test_of_usage_on_every_event_the_last_counts() -> None:
    early = {"prompt_tokens": 10, "completion_tokens": 1}
    stream = [event("a", usage=early), event("b", usage=USAGE), event("c", usage=None)]

    filters = [fed(stream)[0], fed([b"".join(stream)])[0]]

    assert [events.usage for events in filters] == [TokenCounts(prompt=10, completion=5)] * 2


def test_half_a_surrogate_pair_beside_usage_passes_as_its_escape() -> None:
    chunk = rb'data: {"choices":[{"delta":{"content":"\ud83d"}}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'

    _events, output = fed([chunk + b"\n\n"])

    assert texts(output) == "\ud83d"


@pytest.mark.parametrize("before", [b"", b'data: {"choices": [], "usage": {"prompt_tokens": 3}}\n\n'])
def test_an_event_without_choices_is_only_hidden_when_it_brings_usage(before: bytes) -> None:
    filters = b'data: {"choices": [], "prompt_filter_results": [1], "usage": null}\n\n'

    _events, output = fed([before + filters])

    assert parsed(output) == [{"choices": [], "prompt_filter_results": [1]}]


def test_an_error_in_the_stream_is_noticed_and_passed_on() -> None:
    refusal = b'data: {"error": {"message": "overloaded", "code": 503}}\n\n'

    events, output = fed([event("a") + refusal])

    assert events.has_error
    assert output.endswith(refusal)
    assert not events.is_done


@pytest.mark.parametrize("wants_usage", [True, False])
@pytest.mark.parametrize("is_object", [True, False])
def test_a_key_in_an_error_in_the_stream_is_hidden(is_object: bool, wants_usage: bool) -> None:
    message = "Incorrect API key provided: sk-abcd1234efgh5678"
    told = {"message": message, "code": 401} if is_object else message
    refusal = b"data: " + json.dumps({"error": told, "usage": {"prompt_tokens": 1}}).encode() + b"\n\n"

    events, output = fed([event("a") + refusal], wants_usage=wants_usage)

    last = parsed(output)[-1]
    hidden = "Incorrect API key provided: …"
    assert last["error"] == ({"message": hidden, "code": 401} if is_object else hidden)
    assert ("usage" in last) == wants_usage
    assert events.has_error


@pytest.mark.parametrize("text", ['"error"', '{"error": 1}'])
def test_a_text_about_errors_is_no_error(text: str) -> None:
    events, output = fed([event(text), event("b", error=None)])

    assert not events.has_error
    assert texts(output) == f"{text}b"


@pytest.mark.parametrize(
    "data",
    [b"not JSON", b"[" * 100_000, b'["error"]', b'"usage": {', b'{"usage": {', b"7", b"\xff\xfe", b""],
)
def test_an_event_that_cannot_be_read_passes_and_breaks_nothing(data: bytes) -> None:
    odd = b"data: " + data + b'\ndata: "usage": {\n\n'

    events, output = fed([odd + event("b", usage=USAGE)])

    assert output.startswith(odd)
    assert events.usage == TokenCounts(prompt=10, completion=5)
    assert events.served_text() == "b"


def test_the_served_text_is_everything_that_was_generated_of_every_choice() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    deltas = [
        {"role": "assistant", "content": "a"},
        {"content": "b", "reasoning_content": "because"},
        {"content": None, "tool_calls": [call]},
        {"content": ""},
    ]
    chunks = [b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n" for delta in deltas]

    events, _output = fed(chunks)

    assert events.served_text() == "abbecause" + json.dumps([call])


def test_what_was_not_yet_whole_was_not_served() -> None:
    events, _output = fed([event("a") + event("b")[:-1]])

    assert events.served_text() == "a"


def test_a_last_event_without_the_blank_line_after_it_counts_too() -> None:
    events = EventFilter(wants_usage=True)
    last = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}'

    passed = events.feed(last) + events.finish()

    assert passed == last + b"\n\n"
    assert events.usage == TokenCounts(prompt=3, completion=2)
    assert events.finish() == b""
