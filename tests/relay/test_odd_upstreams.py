"""Answers that providers should not give: nothing is served free, and no hold stays behind."""

import http.client
import json
from contextlib import closing
from datetime import timedelta

import pytest
from django.utils import timezone

from billing.models import BalancePoll, Hold, UsageRecord
from billing.services import channels
from billing.services.audit import audit_ledger
from tests.factories import balance_of, make_channel, make_token, make_token_price, make_user
from tests.relay.scripted import completion, delta, scripted_upstream, stream, upstream_that_breaks_off
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
WORDS = "one two three four five six"


def call(web, key: str, *, is_stream: bool = False) -> tuple[int, bytes]:
    body = {"model": "odd", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}
    with closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)) as connection:
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps({**body, "stream": is_stream}),
            {"Authorization": f"Bearer {key}"},
        )
        response = connection.getresponse()
        return response.status, response.read()


def answered(web, user, *, status: int = 200, body: bytes, is_stream: bool = False, **channel):
    make_token_price("odd")
    with scripted_upstream(status=status, body=body) as origin:
        make_channel(base_url=origin, models=["odd"], **channel)
        return call(web, make_token(user).key, is_stream=is_stream)


def broken() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


@pytest.mark.parametrize("code", ["a\x00b", "\ud800", "x" * 300])
def test_an_error_code_that_databases_do_not_take_is_recorded_without_it(web, code: str) -> None:
    user = make_user(balance=5_000)
    body = json.dumps({"error": {"code": code, "message": code}}).encode()

    status, _answer = answered(web, user, status=400, body=body)

    assert status == 400
    assert UsageRecord.objects.get().status == "failed"
    assert (Hold.objects.count(), balance_of(user)) == (0, 5_000)


def test_headers_that_are_no_text_do_not_hide_the_others(web) -> None:
    make_token_price("odd")
    key = make_token(make_user(balance=5_000)).key
    headers = {"X-Odd": "caf\xe9 \xff", "X-RateLimit-Reset": "17"}

    with scripted_upstream(status=429, body=b"{}", headers=headers) as origin:
        make_channel(base_url=origin, models=["odd"])
        status, body = call(web, key)

    assert status == 429
    assert "Wait 17 s" in json.loads(body)["error"]["message"]


def test_a_mapping_to_a_name_that_is_too_long_is_charged(web) -> None:
    user = make_user(balance=5_000)
    body = json.dumps(completion("a", usage={"prompt_tokens": 10, "completion_tokens": 5})).encode()

    answered(web, user, body=body, model_mapping={"odd": "o" * 300})

    assert UsageRecord.objects.get().quota == 5_000 - balance_of(user) == 10
    assert broken() == []


@pytest.mark.parametrize("count", [2**53 - 1, 2**62, 10**9])
def test_impossible_counts_are_no_usage(web, count: int) -> None:
    user = make_user(balance=5_000)
    usage = {"prompt_tokens": count, "completion_tokens": count}

    answered(web, user, body=json.dumps(completion(WORDS, usage=usage)).encode())

    record = UsageRecord.objects.get()
    assert record.usage_source == "estimated"
    assert 0 < record.quota == 5_000 - balance_of(user) < 30


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("usage", [NOTHING, {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}])
def test_a_reported_nothing_for_a_served_text_is_made_good_by_counting(web, usage, is_stream: bool) -> None:
    user = make_user(balance=5_000)
    body = stream(delta(WORDS), delta("", usage=usage)) if is_stream else None

    answered(
        web,
        user,
        body=body or json.dumps(completion(WORDS, usage=usage)).encode(),
        is_stream=is_stream,
    )

    record = UsageRecord.objects.get()
    assert (record.usage_source, record.completion_tokens) == ("estimated", 6)
    assert record.prompt_tokens > 0


def test_text_after_the_last_usage_is_charged_too(web) -> None:
    user = make_user(balance=5_000)
    early = {"prompt_tokens": 9, "completion_tokens": 1}

    answered(web, user, body=stream(delta("zero", usage=early), delta(WORDS)), is_stream=True)

    record = UsageRecord.objects.get()
    assert (record.prompt_tokens, record.completion_tokens) == (9, 1 + 6)


def test_a_json_answer_to_a_streamed_call_is_charged_what_it_says(web) -> None:
    user = make_user(balance=5_000)
    body = json.dumps(completion(WORDS, usage={"prompt_tokens": 10, "completion_tokens": 5})).encode()

    answered(web, user, body=body, is_stream=True)

    assert UsageRecord.objects.get().quota == 5_000 - balance_of(user) == 10


@pytest.mark.parametrize(
    ("body", "fields"),
    [(b'{"choices": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", {}), (b"{}", {"key": "sk-a\nb"})],
)
def test_what_cannot_be_read_or_sent_leaves_no_hold(web, body: bytes, fields) -> None:
    user = make_user(balance=5_000)

    status, _answer = answered(web, user, body=body, **fields)

    assert status in (502, 503)
    assert UsageRecord.objects.get().status == "failed"
    assert (Hold.objects.count(), balance_of(user)) == (0, 5_000)


AS_JSON = {"Content-Type": "application/json; charset=utf-8"}
TOLD_WITH_SUCCESS = [
    {"id": "x", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
    {"choices": [], "error": {"message": "insufficient balance", "code": "insufficient_quota"}},
    {"error_code": 17, "error_msg": "Open api daily request limit reached"},
]


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("body", TOLD_WITH_SUCCESS)
def test_an_error_that_comes_with_success_is_passed_over_and_the_balance_asked_for(
    web, body, is_stream
) -> None:
    user = make_user(balance=5_000)
    make_token_price("odd")
    good = completion("fine", usage={"prompt_tokens": 10, "completion_tokens": 5})
    served = stream(delta("fine"), delta("", usage=good["usage"])) if is_stream else json.dumps(good).encode()

    with (
        scripted_upstream(status=200, body=json.dumps(body).encode(), headers=AS_JSON) as broke,
        scripted_upstream(status=200, body=served) as rich,
    ):
        first = make_channel(name="broke", base_url=broke, models=["odd"], priority=9)
        make_channel(name="rich", base_url=rich, models=["odd"])
        BalancePoll.objects.update(due_at=timezone.now() + timedelta(hours=1))
        status, answer = call(web, make_token(user).key, is_stream=is_stream)

    assert status == 200
    assert b"fine" in answer
    record = UsageRecord.objects.get()
    assert (record.channel_name, record.quota) == ("rich", 10)
    wait_until(lambda: BalancePoll.objects.get(pk=first.pk).due_at <= timezone.now(), seconds=20)


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("body", TOLD_WITH_SUCCESS)
def test_an_error_that_comes_with_success_is_told_as_one_and_costs_nothing(
    web, body, is_stream: bool
) -> None:
    user = make_user(balance=5_000)
    make_token_price("odd")

    with scripted_upstream(status=200, body=json.dumps(body).encode(), headers=AS_JSON) as origin:
        make_channel(base_url=origin, models=["odd"])
        status, answer = call(web, make_token(user).key, is_stream=is_stream)

    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (503, "upstream_unavailable")
    assert "insufficient balance" not in error["message"]
    assert "daily" not in error["message"]
    assert UsageRecord.objects.get().status == "failed"
    assert (Hold.objects.count(), balance_of(user)) == (0, 5_000)


@pytest.mark.parametrize(
    "headers", [AS_JSON, {"Content-Type": "text/event-stream"}, {"Content-Type": "\xe9"}]
)
@pytest.mark.parametrize(
    "body",
    [
        json.dumps(completion(WORDS, usage={"prompt_tokens": 10, "completion_tokens": 5})).encode(),
        json.dumps(completion("x" * 70_000, usage={"prompt_tokens": 10, "completion_tokens": 5})).encode(),
        stream(delta(WORDS), delta("", usage={"prompt_tokens": 10, "completion_tokens": 5})),
    ],
)
def test_what_is_served_to_a_streamed_call_is_passed_on_whatever_it_is_called(web, body, headers) -> None:
    make_token_price("odd")
    answers = []

    for name, told in (("plain", None), ("called", headers)):
        user = make_user(balance=5_000)
        with scripted_upstream(status=200, body=body, headers=told) as origin:
            channel = make_channel(name=name, base_url=origin, models=["odd"])
            answers.append(call(web, make_token(user).key, is_stream=True))
        channels.set_channel_status(actor=None, channel=channel, is_enabled=False)
        assert UsageRecord.objects.latest("pk").quota == 5_000 - balance_of(user) == 10

    assert answers[0] == answers[1]
    assert answers[0][0] == 200


def test_an_answer_without_choices_that_is_no_error_is_tried_nowhere_else(web) -> None:
    user = make_user(balance=5_000)
    make_token_price("odd")

    with (
        scripted_upstream(status=200, body=b'{"id": "x"}') as odd,
        scripted_upstream(status=200, body=b"") as no,
    ):
        make_channel(name="odd", base_url=odd, models=["odd"], priority=9)
        make_channel(name="no", base_url=no, models=["odd"])
        status, answer = call(web, make_token(user).key)

    assert status == 502
    assert "no completion in the answer" in json.loads(answer)["error"]["message"]
    assert (UsageRecord.objects.get().channel_name, balance_of(user)) == ("odd", 5_000)


@pytest.mark.parametrize("is_stream", [True, False])
def test_an_answer_that_breaks_off_is_tried_nowhere_else_as_the_provider_has_worked(web, is_stream) -> None:
    user = make_user(balance=5_000)
    make_token_price("odd")
    good = json.dumps(completion("fine")).encode()

    with upstream_that_breaks_off(b'{"choices": [') as odd, scripted_upstream(status=200, body=good) as other:
        make_channel(name="odd", base_url=odd, models=["odd"], priority=9)
        make_channel(name="other", base_url=other, models=["odd"])
        status, answer = call(web, make_token(user).key, is_stream=is_stream)

    assert (status, json.loads(answer)["error"]["code"]) == (502, "upstream_error")
    assert (UsageRecord.objects.get().channel_name, Hold.objects.count()) == ("odd", 0)
    assert balance_of(user) == 5_000


@pytest.mark.parametrize("body", [{"id": "x"}, completion(WORDS, error={"message": "late", "code": "1008"})])
def test_json_to_a_streamed_call_that_is_no_refusal_is_passed_on(web, body) -> None:
    make_token_price("odd")
    raw = json.dumps(body).encode()

    with scripted_upstream(status=200, body=raw, headers=AS_JSON) as origin:
        make_channel(base_url=origin, models=["odd"])
        status, answer = call(web, make_token(make_user(balance=5_000)).key, is_stream=True)

    assert status == 200
    assert answer.startswith(raw)
    assert UsageRecord.objects.get().status == "interrupted"
