"""How often a program may ask."""

import re

import pytest
from django.core.cache import cache
from django.test import Client

from tests.api.conftest import PROBLEM, Program
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty seconds into a minute, where time stands still."""
    monkeypatch.setattr("oneapi_admin.lib.api.rate_limits.time.time", lambda: 6_000_020.0)


def test_every_answer_tells_what_is_left(program, settings) -> None:
    settings.API_REQUESTS_PER_TOKEN = 10
    asks = program(make_user())

    answers = [asks.get("/me"), asks.get("/nothing/here"), asks.get("/tokens")]

    left = [answer.headers["RateLimit"] for answer in answers]
    assert left == ['"token";r=9;t=40', '"address";r=1198;t=40', '"token";r=8;t=40']
    assert answers[0].headers["RateLimit-Policy"] == '"token";q=10;w=60'
    assert "Retry-After" not in answers[0].headers


def test_a_token_that_asks_too_often_is_told_when_to_go_on(program, settings) -> None:
    settings.API_REQUESTS_PER_TOKEN = 2
    user = make_user()
    asks, other = program(user), program(user)

    answers = [asks.get("/me") for _ in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 429, 429]
    refused = answers[-1]
    assert (refused.code, refused.headers["Content-Type"]) == ("rate_limited", PROBLEM)
    assert refused.headers["Retry-After"] == "40"
    assert refused.headers["RateLimit"] == '"token";r=0;t=40'
    assert "2 a minute" in refused.body["detail"]
    assert "40 seconds" in refused.body["remedy"]
    assert other.get("/me").status == 200


def test_the_next_minute_begins_anew(program, settings, monkeypatch) -> None:
    settings.API_REQUESTS_PER_TOKEN = 1
    asks = program(make_user())
    asks.get("/me")
    refused = asks.get("/me")

    monkeypatch.setattr("oneapi_admin.lib.api.rate_limits.time.time", lambda: 6_000_060.0)

    assert (refused.status, asks.get("/me").status) == (429, 200)


def test_what_is_refused_has_no_effect(program, settings) -> None:
    settings.API_REQUESTS_PER_TOKEN = 1
    user = make_user()
    asks = program(user)

    answers = [asks.post("/tokens", {"name": "a"}).status for _ in range(3)]

    assert answers == [201, 429, 429]
    assert user.tokens.count() == 1


def test_an_address_is_limited_whoever_asks_from_it_and_whatever_for(program, settings) -> None:
    settings.API_REQUESTS_PER_ADDRESS = 3
    asks = program(make_user())

    answers = [asks.get("/me"), Program("oa-guessed").get("/me"), asks.get("/nothing/here"), asks.get("/me")]

    assert [answer.status for answer in answers] == [200, 401, 404, 429]
    assert answers[-1].headers["RateLimit-Policy"] == '"address";q=3;w=60'
    assert answers[-1].headers["Retry-After"] == "40"
    assert re.fullmatch("[0-9a-f]{34}", answers[-1].body["request_id"])
    assert Client().get("/api/v1/me", REMOTE_ADDR="192.0.2.7").status_code == 401


def test_pages_are_not_counted(client, settings) -> None:
    settings.API_REQUESTS_PER_ADDRESS = 0

    answer = client.get("/accounts/login/")

    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers


def test_without_the_cache_nothing_is_limited(program, settings, caplog) -> None:
    asks = program(make_user())
    settings.API_REQUESTS_PER_TOKEN = settings.API_REQUESTS_PER_ADDRESS = 0
    settings.CACHES = {
        "default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1"}
    }

    answer = asks.get("/me")

    assert answer.status == 200
    assert "RateLimit" not in answer.headers
    assert "api.rate_not_counted" in caplog.text


def test_a_count_that_the_cache_throws_out_begins_anew(program, monkeypatch) -> None:
    asks = program(make_user())
    monkeypatch.setattr(type(cache), "add", lambda *_args, **_options: False, raising=False)

    assert asks.get("/me").status == 200
