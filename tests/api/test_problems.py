"""Errors: each says which it is, whose request it was, and nothing of our insides."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from billing.api import tokens as tokens_api
from billing.queries import users as queries
from tests.api.conftest import PROBLEM, Answer
from tests.factories import make_admin, make_root, make_user

pytestmark = pytest.mark.django_db


def send(asks, body: bytes, path: str = "/tokens", **headers: str) -> Answer:
    """A body as it is, said to be JSON unless told otherwise."""
    kind = headers.pop("content_type", "application/json")
    sent = {"Authorization": f"Bearer {asks.key}", **headers}
    response = Client().post(f"/api/v1{path}", body, content_type=kind, headers=sent)
    return Answer(response.status_code, json.loads(response.content), dict(response.headers))


def check_is_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.body["status"] == status
    assert answer.body["type"] == "about:blank"
    assert answer.body["detail"]
    assert answer.body["request_id"] == answer.headers["X-Oneapi-Request-Id"] != ""


@pytest.mark.parametrize("path", ["/nothing", "/", "/users/1/nothing", "/tokens/", "/me/%00"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "BREW"])
def test_an_unknown_address_is_a_problem_even_for_strangers(client, method: str, path: str) -> None:
    response = client.generic(method, f"/api/v1{path}", headers={"Accept": "text/html"})

    answer = Answer(response.status_code, response.json(), dict(response.headers))
    check_is_problem(answer, 404, "not_found")


def test_a_method_that_is_not_taken_is_answered_with_those_that_are(program) -> None:
    answer = program(make_user()).ask("PUT", "/tokens", {})

    check_is_problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"name": "a",}', "line 1, column 14"),
        (b'{"name":\n  oops}', "line 2, column 3"),
        (b"{", "line 1, column 2"),
        (b'{"name": "a"} {}', "line 1, column 15"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        (b'{"name": "a\x00"}', "line 1, column 12"),
        (b'{"name": "\xff"}', "Byte 10"),
        ('{"name": "a"}'.encode("utf-16"), "Byte 0"),
    ],
)
def test_malformed_json_is_refused_naming_the_place(program, body: bytes, place: str) -> None:
    answer = send(program(make_user()), body)

    check_is_problem(answer, 400, "malformed_body")
    assert place in answer.body["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "a", "quota_limit": NaN}',
        b'{"name": "a", "quota_limit": -Infinity}',
        b'{"name": "a", "quota_limit": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"name": ' * 50_000,
    ],
    ids=["nan", "infinity", "5000 digits", "deep arrays", "deep objects"],
)
def test_json_that_no_parser_should_be_asked_to_read_is_refused(program, body: bytes) -> None:
    check_is_problem(send(program(make_user()), body), 400, "malformed_body")


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""])
def test_a_body_that_is_said_to_be_something_else_is_refused(program, kind: str) -> None:
    answer = send(program(make_user()), b'{"name": "a"}', content_type=kind)

    check_is_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_may_say_its_encoding(program, kind: str) -> None:
    assert send(program(make_user()), b'{"name": "a"}', content_type=kind).status == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.name"),
        ([], "body"),
        (["name"], "body"),
        ("name", "body"),
        (5, "body"),
        (None, "body"),
        ({"name": "a\0"}, "body.name"),
        ({"name": "\ud800"}, "body.name"),
        ({"name": ["a"]}, "body.name"),
        ({"name": {"a": 1}}, "body.name"),
        ({"name": "a", "nmae": "b"}, "body.nmae"),
        ({"name": "a", "\ud800": "b"}, "body"),
        ({"name": "a", "\0": "b"}, "body.\0"),
        ({"name": "a", "x" * 5000: "b"}, "body." + "x" * 5000),
        ({"name": "a", "quota_limit": 10**4000}, "body.quota_limit"),
        ({"name": "a", "quota_limit": 1e400}, "body.quota_limit"),
        ({"name": "a", "quota_limit": 1.5}, "body.quota_limit"),
        ({"name": "a", "user_id": 2**63}, "body.user_id"),
        ({"name": "a", "user_id": 0}, "body.user_id"),
        ({"name": "a", "allowed_models": ["\ud800"]}, "body.allowed_models.0"),
        ({"name": "a", "allowed_models": {"0": "m"}}, "body.allowed_models"),
    ],
)
def test_what_is_json_and_does_not_fit_is_refused_naming_the_field(program, body: Any, field: str) -> None:
    user = make_user()
    text = json.dumps(body).replace("Infinity", "1e400")

    answer = send(program(user), text.encode())

    check_is_problem(answer, 422, "invalid_request")
    assert [error["field"] for error in answer.body["errors"]] == [field]
    assert not user.tokens.exists()


def test_a_body_that_is_missing_is_named(program) -> None:
    answer = program(make_user()).ask("POST", "/tokens")

    check_is_problem(answer, 422, "invalid_request")
    assert [error["field"] for error in answer.body["errors"]] == ["body"]


@pytest.mark.parametrize(
    "number", ["0", "-1", str(2**63), "9" * 5000, "1.5", "x", "%00", "%F0%9F%98%80", "１"]
)
def test_an_id_that_cannot_be_one_is_refused(program, number: str) -> None:
    answer = program(make_root()).get(f"/users/{number}")

    check_is_problem(answer, 422, "invalid_request")
    assert [error["field"] for error in answer.body["errors"]] == ["path.user_id"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", f"cursor={2**63}", "cursor=-1", "cursor=%FF"]
)
def test_a_page_that_cannot_be_is_refused(program, query: str) -> None:
    answer = program(make_root()).get(f"/users?{query}")

    check_is_problem(answer, 422, "invalid_request")
    assert [error["field"] for error in answer.body["errors"]] == [f"query.{query.partition('=')[0]}"]


def test_what_does_not_exist_is_a_problem(program) -> None:
    check_is_problem(program(make_root()).get("/users/999999999"), 404, "not_found")


def test_a_body_above_what_is_read_is_too_large(program, settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    answer = send(program(make_user()), b'{"name": "' + b"a" * 1000 + b'"}')

    check_is_problem(answer, 413, "request_too_large")


def test_a_query_of_thousands_of_fields_is_refused(program) -> None:
    answer = program(make_user()).get("/tokens?" + "&".join(f"a{number}=" for number in range(2000)))

    check_is_problem(answer, 400, "bad_request")


def test_another_host_is_refused(program, settings) -> None:
    settings.ALLOWED_HOSTS = ["console.example.com"]

    answer = program(make_user()).get("/me", Host="evil.example.com")

    check_is_problem(answer, 400, "bad_request")


def test_what_was_not_foreseen_is_logged_and_tells_nothing(program, monkeypatch, caplog) -> None:
    asks = program(make_root())

    def fail(**_values: object) -> None:
        raise RuntimeError("the secret of our insides")

    monkeypatch.setattr(queries, "people", fail)
    answer = asks.get("/users")

    check_is_problem(answer, 500, "internal_error")
    assert "insides" not in json.dumps(answer.body)
    [logged] = [record for record in caplog.records if "api.failed" in str(record.msg)]
    assert "the secret of our insides" in str(logged.msg)
    assert logged.msg["request_id"] == answer.body["request_id"]


def test_what_fails_around_the_api_tells_nothing_either(program, monkeypatch) -> None:
    asks = program(make_root())
    client = Client(raise_request_exception=False)

    def fail(_middleware: object, _request: object) -> HttpResponse:
        raise RuntimeError("the secret of our insides")

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", fail)
    response = client.get("/api/v1/me", headers={"Authorization": f"Bearer {asks.key}"})

    answer = Answer(response.status_code, response.json(), dict(response.headers))
    check_is_problem(answer, 500, "internal_error")
    assert "insides" not in response.text


def test_nothing_is_left_of_what_failed_half_way(program, monkeypatch) -> None:
    user = make_user()
    asks = program(user)

    def fail(*_values: object) -> None:
        raise RuntimeError("after the effect")

    monkeypatch.setattr(tokens_api, "_shown_once", fail)
    answer = asks.post("/tokens", {"name": "a"}, Idempotency_Key="1")
    monkeypatch.undo()

    check_is_problem(answer, 500, "internal_error")
    assert not user.tokens.exists()
    assert asks.post("/tokens", {"name": "a"}, Idempotency_Key="1").status == 201


@pytest.mark.parametrize("path", ["/users/999999999", "/nothing"])
def test_a_problem_speaks_the_language_that_the_caller_asks_for(program, path: str) -> None:
    asks = program(make_admin())

    chinese = asks.get(path, Accept_Language="zh-CN,zh;q=0.9")
    other = asks.get(path, Accept_Language="fr")

    assert [answer.headers["Content-Language"] for answer in (chinese, other)] == ["zh-hans", "en"]
