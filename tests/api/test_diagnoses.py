"""Asking what an upstream error means."""

from typing import Any

import pytest
from django.test import Client

from tests.factories import make_admin, make_user

pytestmark = pytest.mark.django_db
PATH = "/diagnoses"
NO_MONEY = {
    "status": 429,
    "headers": {"X-Request-Id": "r"},
    "body": {
        "error": {
            "message": "You exceeded your current quota: key sk-abcd1234efgh5678",
            "type": "insufficient_quota",
            "code": "insufficient_quota",
        }
    },
    "provider": "openai",
}


def test_an_error_comes_back_with_what_it_means_and_what_to_do(program) -> None:
    answer = program(make_admin()).post(PATH, NO_MONEY)

    assert answer.status == 200
    assert answer.body == {
        "error_class": "credit_exhausted",
        "certainty": "certain",
        "provider": "openai",
        "meaning": "The provider's account has no money left, or no means of payment.",
        "remedy": "Top up the account at the provider or pay what is due; some then want a new key.",
        "lasts": "10–15 minutes after a top-up",
        "responsible": "operator",
        "channel": "disable",
        "is_retryable": False,
        "retry_after_s": None,
        "ends_at": None,
        "matched": {
            "rule": "openai.insufficient_quota",
            "source": "https://developers.openai.com/api/docs/guides/error-codes",
            "code": "insufficient_quota",
            "type": "insufficient_quota",
            "message": "You exceeded your current quota: key …",
        },
    }


def test_a_wait_comes_back_in_seconds_and_as_a_moment(program) -> None:
    sent = {"status": 429, "headers": {"RETRY-AFTER": "20"}, "body": "slow down"}

    body = program(make_user()).post(PATH, sent).body

    assert (body["error_class"], body["retry_after_s"], body["is_retryable"]) == ("rate_limited", 20, True)
    assert body["ends_at"].endswith("Z")
    assert (body["lasts"], body["channel"], body["matched"]["message"]) == (
        "20 seconds",
        "pause",
        "slow down",
    )


def test_a_text_that_is_json_is_read_like_the_json_itself(program) -> None:
    asks = program(make_user())
    text = '{"error": {"code": "1113", "message": "m"}}'

    as_text, as_json = (
        asks.post(PATH, {"status": 429, "body": body, "provider": "zhipu"}).body["error_class"]
        for body in (text, {"error": {"code": "1113", "message": "m"}})
    )

    assert as_text == as_json == "credit_exhausted"


@pytest.mark.parametrize("body", [None, "", [], {}, 7, True, [{"error": {"message": "m"}}], "<html>", "\x00"])
def test_any_body_has_an_answer(program, body: Any) -> None:
    assert program(make_user()).post(PATH, {"status": 500, "body": body}).status == 200


def test_only_the_status_is_needed(program) -> None:
    body = program(make_user()).post(PATH, {"status": 401}).body

    assert (body["error_class"], body["certainty"], body["provider"]) == ("auth_invalid", "likely", None)


def test_texts_are_in_the_language_that_is_asked_for(program) -> None:
    asks = program(make_user())

    english, chinese = (
        asks.post(PATH, NO_MONEY, Accept_Language=language) for language in ("en", "zh-CN,zh;q=0.9")
    )

    assert chinese.headers["Content-Language"] == "zh-hans"
    assert english.body["error_class"] == chinese.body["error_class"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"status": 99}, "body.status"),
        ({"status": 600}, "body.status"),
        ({"status": "429"}, "body.status"),
        ({"status": None}, "body.status"),
        ({"headers": [["retry-after", "1"]]}, "body.headers"),
        ({"headers": {"retry-after": 1}}, "body.headers.retry-after"),
        ({"headers": {f"x-{number}": "1" for number in range(101)}}, "body.headers"),
        ({"headers": {"x": "1" * 8193}}, "body.headers.x"),
        ({"body": "x" * 65_537}, "body.body"),
        ({"body": {"error": {"message": "é" * 40_000}}}, "body.body"),
        ({"provider": "nobody"}, "body.provider"),
        ({"provider": "OpenAI"}, "body.provider"),
        ({"provider": ""}, "body.provider"),
        ({"model": "m"}, "body.model"),
    ],
)
def test_what_cannot_be_an_answer_of_a_provider_is_refused(program, changes, field: str) -> None:
    answer = program(make_user()).post(PATH, {"status": 429, **changes})

    assert answer.status == 422
    assert answer.wrong_fields == [field]


def test_64_kib_and_100_headers_are_taken(program) -> None:
    headers = {f"x-{number}": "1" for number in range(100)}

    answer = program(make_user()).post(PATH, {"status": 429, "headers": headers, "body": "x" * 65_536})

    assert answer.status == 200


def test_whoever_may_read_may_ask_and_strangers_may_not(program) -> None:
    reader, redeemer = program(make_user(), "read"), program(make_user(), "redeem")

    assert reader.post(PATH, {"status": 429}).status == 200
    assert redeemer.post(PATH, {"status": 429}).code == "missing_scope"
    sent = Client().post(f"/api/v1{PATH}", {"status": 429}, content_type="application/json")
    assert sent.status_code == 401
