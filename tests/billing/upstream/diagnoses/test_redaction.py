"""Nothing that looks like a key is repeated to anybody."""

import json
import re

import pytest

from billing.upstream.diagnoses import redaction
from billing.upstream.diagnoses.diagnosing import diagnose
from billing.upstream.diagnoses.redaction import LONGEST_READ, redact
from tests.factories import NOON


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Incorrect API key provided: sk-abcd1234efgh5678.", "abcd1234"),
        ("Incorrect API key provided: sk-proj-********wxyz.", "wxyz"),
        ("invalid x-api-key sk-ant-api03-AAAA_BBBB-CCCC", "AAAA_BBBB"),
        ("key gsk_abcdEFGH1234 is revoked", "abcdEFGH"),
        ("xai-0123456789abcdef", "0123456789abcdef"),
        ("API key AIzaSyA-1234567890abcdefg not valid", "SyA-1234567890"),
        ("Authorization: Bearer my.secret.token1 is wrong", "secret.token1"),
        ("api_key=hunter2hunter2&x=1", "hunter2"),
        ('{"password": "hunter2hunter2"}', "hunter2"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIi"),
        ("AccessKeyId LTAI5tAbCdEfGhIj not found", "5tAbCdEf"),
        ("AccessKeyId AKLTabcdef0123456789", "abcdef0123456789"),
        ("key 3e1c7a52-1111-2222-3333-444455556666 unknown", "444455556666"),
        ("0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp", "AbCdEfGhIjKl"),
        ("in organization org-AbCdEf123456 on tokens", "AbCdEf123456"),
        ("oa-abcdefgh12345678", "abcdefgh"),
        ("in organization org-AbCdEfGhIjKlMnOpQrSt on tokens", "AbCdEfGh"),
        ("project proj_AbCdEfGhIjKlMnOp has no access", "AbCdEfGh"),
        ("token:        hunter2hunter2", "hunter2"),
    ],
)
def test_what_looks_like_a_key_is_hidden(text: str, secret: str) -> None:
    shown = redact(text)

    assert secret not in shown
    assert "…" in shown
    assert len(shown) <= len(text)


@pytest.mark.parametrize(
    "text",
    [
        "Rate limit reached for gpt-4o-mini-2024-07-18 on tokens per min (TPM): Limit 30000",
        "model claude-3-5-sonnet-20241022 and meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "ModelAccountTpmRateLimitExceeded",
        "API_KEY_USD_SPEND_LIMIT_EXCEEDED",
        "token: limit reached; authorization: required; key_disabled key_expired",
        "resets at 2026-03-02T15:00:00.123456Z",
        "余额不足或无可用资源包,请充值。",
        "the task-oriented desk-bound model",
        "an org-wide-configuration of org-chart",
    ],
)
def test_words_names_and_times_stay(text: str) -> None:
    assert redact(text) == text


def test_a_diagnosis_repeats_no_key_from_anywhere() -> None:
    secret = "sk-abcd1234efgh5678ijkl"
    error = {
        "message": f"Incorrect API key provided: {secret}",
        "code": secret,
        "type": secret,
        "param": secret,
    }

    for body in (json.dumps({"error": error}), f"<html>{secret}", json.dumps({"detail": secret})):
        diagnosis = diagnose(status=401, body=body, headers={"x-key": secret}, at=NOON)

        assert "abcd1234" not in repr(diagnosis)


def test_a_key_at_the_edge_of_what_is_shown_is_hidden_whole() -> None:
    text = "x" * 494 + " sk-abcd1234efgh5678ijkl"

    message = diagnose(status=401, body=json.dumps({"error": text}), at=NOON).matched.message

    assert "sk-" not in message


@pytest.mark.parametrize("word", ["key-", "token=", "bearer ", "1a", "m"])
def test_patterns_are_given_only_the_beginning_of_a_long_text(monkeypatch, word: str) -> None:
    read: list[int] = []

    class Measured:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self._pattern = pattern

        def sub(self, to: str, text: str) -> str:
            read.append(len(text))
            return self._pattern.sub(to, text)

    for name in ("_KEYS", "_NAMED"):
        monkeypatch.setattr(redaction, name, Measured(getattr(redaction, name)))

    diagnose(
        status=400, body=json.dumps({"error": {"message": word * 16_000, "code": word * 16_000}}), at=NOON
    )

    assert read
    assert max(read) <= LONGEST_READ


@pytest.mark.parametrize(
    "secret", ["sk-abcd1234efgh5678", "AbCdEf0123456789AbCdEf0123456789", "hunter2hunter2"]
)
def test_half_a_key_where_reading_ends_is_not_shown(secret: str) -> None:
    hidden = "sk-" + "x" * 800 + " "

    for shown in range(1, len(secret)):
        text = hidden + "." * (LONGEST_READ - len(hidden) - shown - 1) + " " + secret

        assert secret[:shown] not in redact(text).replace(".", "")
