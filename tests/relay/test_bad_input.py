"""What the relay answers to calls that are wrong, and that none of them holds or costs anything."""

import http.client
import json
from contextlib import closing

import pytest

from accounts.models import UserStatus
from billing.models import Hold, UsageRecord
from billing.services import tokens
from tests.factories import NOON, account_of, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)
GOOD = {"model": "sandbox-echo", "messages": [{"role": "user", "content": "hi"}]}


def send(
    web, body: bytes, key: str | None, method: str = "POST", path: str = "/v1/chat/completions", **headers
):
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)) as connection:
        connection.request(method, path, body=body, headers={"Content-Type": "application/json", **headers})
        with connection.getresponse() as response:
            return response.status, json.loads(response.read() or b"null"), response.headers


def changed(**fields) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b"\xef\xbb\xbf{}", "line 1, column 1: Unexpected UTF-8 BOM"),
        (b'{"model": "sandbox-echo",\n "messages" [', "line 2, column 13"),
        (b'{"model": "\xff\xfe"}', "byte 11"),
        (b"[1, 2]", "JSON object"),
        (b'{"model": NaN}', "NaN"),
        (b"[" * 200_000, "nests too deep"),
        (b'{"max_tokens": ' + b"9" * 10_000 + b"}", "number that is too long"),
        (changed(model=""), "model"),
        (changed(model=7), "model"),
        (changed(model="m" * 129), "model"),
        (changed(messages=[]), "messages"),
        (changed(messages="hi"), "messages"),
        (changed(messages=["hi"]), "messages"),
        (changed(max_tokens=-1), "max_tokens"),
        (changed(max_tokens=0), "max_tokens"),
        (changed(max_tokens=2**60), "max_tokens"),
        (changed(max_tokens="many"), "max_tokens"),
        (changed(max_tokens=True), "max_tokens"),
        (changed(max_completion_tokens=-5), "max_completion_tokens"),
        (changed(n=-1000), "n"),
        (changed(n=10**9), "n"),
        (changed(stream="yes"), "stream"),
        (changed(stream_options=[]), "stream_options"),
        (changed(stream_options={"include_usage": True}), "stream_options"),
    ],
)
def test_a_malformed_body_is_refused_naming_the_place(channel, web, body: bytes, says: str) -> None:
    user = make_user(balance=5_000)

    status, answer, headers = send(web, body, make_token(user).key)

    assert status == 400
    assert says in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"
    assert headers["X-Oneapi-Request-Id"] in answer["error"]["message"]
    assert (Hold.objects.count(), UsageRecord.objects.count()) == (0, 0)


def test_an_absurd_limit_that_the_balance_cannot_cover_is_refused_as_quota(channel, web) -> None:
    user = make_user(balance=5_000)

    status, answer, _headers = send(web, changed(max_tokens=2**31 - 1), make_token(user).key)

    assert (status, answer["error"]["code"]) == (403, "insufficient_user_quota")
    assert answer["error"]["details"]["needed"] > 2_000_000_000


def test_a_body_over_the_limit_is_refused_before_it_is_read(channel) -> None:
    from tests.support.processes import web_processes

    key = make_token(make_user(balance=5_000)).key
    with web_processes(1, RELAY_MAX_BODY_BYTES="2000") as [web]:
        announced = send(web, changed(messages=[{"role": "user", "content": "x" * 3000}]), key)
        chunked = send(web, iter([b"x" * 1500, b"x" * 1500]), key)

    assert (announced[0], announced[1]["error"]["code"]) == (413, "request_too_large")
    assert (chunked[0], chunked[1]["error"]["code"]) == (413, "request_too_large")


def test_tokens_that_are_missing_wrong_expired_disabled_or_elsewhere_are_refused(channel, web) -> None:
    user = make_user(balance=5_000)
    expired = make_token(user, expires_at=NOON)
    disabled = make_token(user)
    tokens.set_token_status(actor=None, token=disabled.token, is_enabled=False)
    elsewhere = make_token(user, allowed_networks=["10.0.0.0/8"])
    other_model = make_token(user, allowed_models=["sandbox-slow"])
    outcast = make_user(balance=5_000)
    outcasts = make_token(outcast)
    outcast.status = UserStatus.DISABLED
    outcast.save(update_fields=["status"])
    keys = [None, "", "sk-nonsense", "sk-ünïcode".encode().decode("latin-1"), expired.key, disabled.key]
    keys += [elsewhere.key, other_model.key, outcasts.key]

    answers = [send(web, changed(), key) for key in keys]

    assert [(status, answer["error"]["code"]) for status, answer, _headers in answers] == [
        (401, "invalid_api_key"),
        (401, "invalid_api_key"),
        (401, "invalid_api_key"),
        (401, "invalid_api_key"),
        (401, "key_expired"),
        (401, "key_disabled"),
        (403, "network_not_allowed"),
        (403, "model_not_allowed"),
        (403, "user_disabled"),
    ]
    assert all(headers["x-should-retry"] == "false" for _status, _answer, headers in answers)
    assert account_of(user).held == 0


def test_a_forwarded_address_is_not_believed(channel, web) -> None:
    made = make_token(make_user(balance=5_000), allowed_networks=["10.0.0.0/8"])

    status, answer, _headers = send(web, changed(), made.key, **{"X-Forwarded-For": "10.1.2.3"})

    assert (status, answer["error"]["code"]) == (403, "network_not_allowed")


def test_unknown_urls_and_methods_are_named(channel, web) -> None:
    key = make_token(make_user()).key

    unknown = send(web, b"", key, path="/v1/nonsense")
    wrong = send(web, b"", key, method="GET")
    preflight = send(web, b"", None, method="OPTIONS")

    assert (unknown[0], unknown[1]["error"]["code"]) == (404, "invalid_url")
    assert (wrong[0], wrong[1]["error"]["code"]) == (405, "method_not_allowed")
    assert preflight[0] == 204
    assert preflight[2]["access-control-allow-origin"] == "*"


def test_a_group_without_a_channel_is_told_so(channel, web) -> None:
    made = make_token(make_user(balance=5_000, group="vip"))

    status, answer, headers = send(web, changed(), made.key)

    assert (status, answer["error"]["code"]) == (503, "no_channel_available")
    assert "vip" in answer["error"]["message"]
    assert headers["retry-after"] == "1"
