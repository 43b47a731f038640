"""Errors are read in every shape, and whatever else comes does no harm."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.upstream.diagnoses.bodies import MAX_BYTES, read_body
from billing.upstream.diagnoses.classes import Certainty
from billing.upstream.diagnoses.diagnosing import LONGEST_ECHO, diagnose
from billing.upstream.diagnoses.providers import PROVIDERS
from tests.factories import NOON


@pytest.mark.parametrize(
    ("body", "code", "kind", "message"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c"}}, "c", "t", "m"),
        ([{"error": {"message": "m", "code": 400, "status": "S"}}], "400", "", "m"),
        ([[{"error": {"message": "m"}}]], "", "", "m"),
        ({"error": [{"message": "m", "code": "c"}]}, "c", "", "m"),
        ({"code": "c", "error": "m"}, "c", "", "m"),
        ({"error": "m"}, "", "", "m"),
        ({"type": "error", "error": {"type": "t", "message": "m"}}, "", "t", "m"),
        ({"base_resp": {"status_code": 1008, "status_msg": "m"}}, "1008", "", "m"),
        ({"error_code": 17, "error_msg": "m"}, "17", "", "m"),
        ({"code": "c", "message": "m", "request_id": "r"}, "c", "", "m"),
        ({"code": 20012, "message": "m", "data": None}, "20012", "", "m"),
        ({"detail": "m"}, "", "", "m"),
        ({"detail": {"message": "m", "code": "c"}}, "c", "", "m"),
        ({"detail": [{"loc": ["body"], "msg": "m"}]}, "", "", "m"),
        ({"success": False, "code": 1001, "msg": "m"}, "1001", "", "m"),
        ({"message": "m", "type": "t"}, "", "t", "m"),
        ("m", "", "", "m"),
        ({"error": {"message": "m", "code": False, "type": []}}, "", "", "m"),
        ({"error": {"message": "m", "code": {}, "type": ""}}, "", "", "m"),
        ({"error": {"message": None}}, "", "", ""),
        ({"error": 7}, "", "", ""),
        ({"error": None}, "", "", ""),
        ([], "", "", ""),
        ([7], "", "", ""),
        (None, "", "", ""),
        (7, "", "", ""),
        ({}, "", "", ""),
    ],
)
def test_code_type_and_message_are_found_wherever_they_stand(body: Any, code, kind, message) -> None:
    read = read_body(json.dumps(body).encode())

    assert (read.code, read.type, read.message) == (code, kind, message)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "You exceeded it", "code": "insufficient_quota", "type": "insuf',
        b'{"error":{"code":"insufficient_quota","message":"You exceeded it", "param": nul',
        b'event: error\ndata: {"error": {"message": "You exceeded it", "code": "insufficient_quota"}}\n\n',
        b'\xef\xbb\xbf{"error": {"message": "You exceeded it", "code": "insufficient_quota"}}',
        b'Error 429: {"error": {"message": "You exceeded it", "code": "insufficient_quota"}} (retried)',
    ],
)
def test_what_is_cut_off_or_wrapped_is_read_as_far_as_it_goes(body: bytes) -> None:
    read = read_body(body)

    assert (read.code, read.message) == ("insufficient_quota", "You exceeded it")


def test_a_page_is_kept_as_its_beginning() -> None:
    diagnosis = diagnose(status=502, body=b"<html>" + b"Bad gateway " * 1000, at=NOON)

    assert diagnosis.matched.message.startswith("<html>Bad gateway")
    assert len(diagnosis.matched.message) == LONGEST_ECHO
    assert not diagnosis.matched.is_structured


def test_bytes_that_are_no_text_are_read_around() -> None:
    body = b'{"error": {"message": "caf\xe9 \xff", "code": "invalid_api_key"}}'

    diagnosis = diagnose(status=401, body=body, at=NOON)

    assert diagnosis.error_class == "auth_invalid"
    assert diagnosis.matched.message == "caf\ufffd \ufffd"


def test_texts_that_nothing_can_hold_come_out_clean() -> None:
    body = json.dumps({"error": {"message": "a\0b\ud800", "code": "c\ud800\0", "type": ["t"]}})

    matched = diagnose(status=400, body=body, at=NOON).matched

    for text in (matched.message, matched.code, matched.type):
        assert "\0" not in text
        assert text.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"error":' * 9_000,
        b'{"error":' * 400 + b"1" + b"}" * 400,
        b'{"a":' * 300 + b'{"error":{"raw":"{"}}' + b"}" * 300,
        b'{"error": {"code": ' + b"9" * 6_000 + b"}}",
        b'{"error": {"message": "' + b"again in 1" * 6_000 + b'"}}',
        b'{"error": {"message": "' + b"sk-" * 20_000 + b'"}}',
        b'{"error": {"message": "' + b"1a" * 30_000 + b'"}}',
        b'{"error": {"message": "' + b"----" * 15_000,
        b'{"message": "' + b"\\" * 60_000,
        b"{" * 60_000,
        b"usage limit exceeded" * 3_000,
        json.dumps({"error": {"details": [[[{"metadata": {"raw": "{" * 1000}}]]] * 3000}}).encode(),
    ],
)
def test_what_is_huge_or_nests_deep_costs_no_time(body: bytes) -> None:
    began = time.process_time()

    diagnosis = diagnose(status=500, body=body + b" " * MAX_BYTES, at=NOON)

    assert diagnosis.error_class == "overloaded"
    assert time.process_time() - began < 0.5


def test_nothing_beyond_64_kib_is_read() -> None:
    late = b'{"error": {"message": "' + b"a" * MAX_BYTES + b'", "code": "insufficient_quota"}}'

    assert diagnose(status=429, body=late, at=NOON).matched.code == ""


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["insufficient_quota", "429", "try again in 1h2m", '{"error": {"code": "x"}}', "{"]),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("error", "message", "code", "type", "details", "metadata", "raw", "detail", "status"),
                    *("base_resp", "status_code", "status_msg", "error_code", "headers", "availability"),
                    *("retry_after", "resets_at", "retryDelay", "quotaId", "violations", "reason", "param"),
                    "X-RateLimit-Reset",
                )
            ),
            children,
            max_size=6,
        )
    ),
    max_leaves=30,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        (
            *("Retry-After", "retry-after-ms", "x-ratelimit-reset", "X-RateLimit-Remaining", "OpenAI-Model"),
            *("anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining", "x-\u00e4"),
        )
    ),
    st.text(max_size=40) | st.floats().map(str) | st.integers().map(str),
    max_size=5,
)


def check_sound(status: int, body: bytes | str, headers: dict[str, str], provider: str | None) -> None:
    diagnosis = diagnose(status=status, body=body, headers=headers, provider=provider, at=NOON)

    assert diagnosis.retry_after_s is None or 1 <= diagnosis.retry_after_s <= 86_400
    assert diagnosis.ends_at is None or diagnosis.ends_at > NOON
    assert isinstance(diagnosis.lasts, str)
    assert diagnosis.meaning
    assert diagnosis.advice
    assert (diagnosis.certainty == Certainty.UNKNOWN) == (diagnosis.error_class == "unknown")
    assert len(diagnosis.matched.message) <= LONGEST_ECHO
    (diagnosis.matched.message + diagnosis.matched.code + diagnosis.matched.type).encode()


@settings(max_examples=200, deadline=None)
@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=300),
    headers=HEADERS,
    provider=st.none() | st.sampled_from(sorted(PROVIDERS)),
)
def test_any_bytes_have_a_diagnosis(status, body, headers, provider) -> None:
    check_sound(status, body, headers, provider)


@settings(max_examples=400, deadline=None)
@given(
    status=st.sampled_from([200, 400, 401, 402, 403, 413, 429, 500, 529]),
    body=JSON,
    headers=HEADERS,
    provider=st.none() | st.sampled_from(sorted(PROVIDERS)),
)
def test_any_json_has_a_diagnosis(status, body, headers, provider) -> None:
    check_sound(status, json.dumps(body), headers, provider)
