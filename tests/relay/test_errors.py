"""OpenAI's envelope, in the caller's language, and the headers that client libraries obey."""

import json

import pytest
from django.utils.translation import gettext_lazy as _

from billing.services.holds import TokenQuotaError, UserQuotaError
from oneapi_admin.lib.errors import DomainError
from relay.chat import parse_chat_request
from relay.errors import (
    InternalError,
    InvalidRequestError,
    ModelNotFoundError,
    NoChannelError,
    StoreUnavailableError,
    UpstreamRateLimitedError,
    dump,
    envelope,
    headers_of,
    language_of,
)


class TranslatedError(DomainError):
    """Says what Django itself has in every language."""

    message = _("This field is required.")
    remedy = _("Yes")


def user_quota_error() -> UserQuotaError:
    return UserQuotaError(left=10, held=3, needed=600, user="ada", upstream="It is not the provider.")


def message_of(error: DomainError, accept_language: str) -> str:
    return envelope(error, request_id="r1", accept_language=accept_language)["error"]["message"]


@pytest.mark.parametrize(
    ("accept_language", "own", "language"),
    [
        ("", "", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "", "zh-hans"),
        ("zh", "", "zh-hans"),
        ("en-GB", "zh-hans", "en"),
        ("fr;q=1, zh-CN;q=0.5, en;q=0.1", "", "zh-hans"),
        ("en;q=0.1, zh-CN;q=0.5", "", "zh-hans"),
        ("", "zh-hans", "zh-hans"),
        ("fr", "zh-hans", "zh-hans"),
        ("*", "zh-hans", "zh-hans"),
        ("*", "", "en"),
        ("not a language;;q=x", "", "en"),
        ("z" * 100_000, "", "en"),
        ("zh-CN," * 20_000, "", "zh-hans"),
        ("\xff\x00", "", "en"),
    ],
)
def test_the_language_is_the_callers_then_their_own_then_the_sites(accept_language, own, language) -> None:
    error = TranslatedError()
    error.language = own

    assert language_of(error, accept_language) == language


def test_one_error_reads_in_the_language_of_whoever_sees_it() -> None:
    error = TranslatedError()

    assert message_of(error, "en") == "This field is required. Yes (request id: r1)"
    assert message_of(error, "zh-CN") == "这个字段是必填项。 是 (request id: r1)"


def test_a_refused_request_is_translated_when_it_is_shown_and_not_before() -> None:
    error = InvalidRequestError(reason=_("This field is required."), param="model")

    assert message_of(error, "zh-CN").startswith("这个字段是必填项。")


def test_a_field_and_the_place_in_the_body_stand_in_the_message() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        parse_chat_request(b'{"model": "m", "messages": [{}], "n": 0}')

    body = envelope(refusal.value, request_id="r1", accept_language="")["error"]
    assert body == {
        "message": "“n” must be a whole number from 1 to 128. (request id: r1)",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_request",
    }


@pytest.mark.parametrize(
    ("error", "quota"),
    [
        (user_quota_error(), "user"),
        (TokenQuotaError(left=10, held=3, needed=600, token="laptop", upstream=""), "token"),
    ],
)
def test_a_quota_that_ran_out_says_which_how_much_and_what_to_do(error, quota: str) -> None:
    body = envelope(error, request_id="r1", accept_language="en")["error"]

    details = body["details"]
    assert (details["quota"], details["left"], details["held"], details["needed"]) == (quota, 10, 3, 600)
    assert details["remedy"] in body["message"]
    assert "$0.00002" in body["message"]
    assert "$0.0012" in body["message"]
    assert body["type"] == "insufficient_quota"


def test_only_quota_has_details() -> None:
    error = ModelNotFoundError(model="m", group="g")

    assert "details" not in envelope(error, request_id="r1", accept_language="")["error"]


@pytest.mark.parametrize("name", ["100%", "%(group)s", "%s", "<b>", '"', "中文", "\ud800"])
def test_a_name_from_outside_is_only_ever_text(name: str) -> None:
    body = envelope(ModelNotFoundError(model=name, group="g"), request_id="r1", accept_language="")

    assert f"“{name}”" in json.loads(dump(body))["error"]["message"]


@pytest.mark.parametrize(
    "error", [user_quota_error(), ModelNotFoundError(model="m", group="g"), InternalError()]
)
def test_client_libraries_are_told_not_to_try_again_what_cannot_succeed(error: DomainError) -> None:
    assert headers_of(error) == [(b"x-should-retry", b"false")]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (UpstreamRateLimitedError(model="m", seconds=7), b"7"),
        (NoChannelError(model="m", group="g"), b"1"),
        (StoreUnavailableError(), b"1"),
    ],
)
def test_client_libraries_are_told_when_to_try_again_what_can(error: DomainError, seconds: bytes) -> None:
    assert headers_of(error) == [(b"retry-after", seconds)]
