"""``/v1/chat/completions`` through a real server process, against the sandbox, with OpenAI's own client."""

import openai
import pytest

from billing.models import Hold, UsageRecord
from billing.services.audit import audit_ledger
from tests.factories import account_of, balance_of, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def ask(client, text="one two three", **fields):
    return client.chat.completions.create(
        **{"model": "sandbox-echo", "messages": [{"role": "user", "content": text}], **fields}
    )


def broken_invariants() -> list[str]:
    return [check.code for check in audit_ledger() if check.broken]


def test_a_json_call_is_answered_and_charged_what_the_provider_reports(channel, client_of) -> None:
    user = make_user(balance=5_000)
    made = make_token(user)

    raw = client_of(made).chat.completions.with_raw_response.create(
        model="sandbox-echo", messages=[{"role": "user", "content": "one two three"}]
    )

    answer = raw.parse()
    record = UsageRecord.objects.get()
    # $1 and $2 per 1M tokens are 0.5 and 1 quota unit per token, rounded up once.
    expected = -(-(answer.usage.prompt_tokens + 2 * answer.usage.completion_tokens) // 2)
    assert answer.choices[0].message.content == "one two three"
    assert (record.quota, record.prompt_tokens) == (expected, answer.usage.prompt_tokens)
    assert raw.headers["X-Quota-Charged"] == str(expected)
    assert raw.headers["X-Quota-Remaining"] == str(5_000 - expected)
    assert record.request_id == raw.headers["X-Oneapi-Request-Id"]
    assert (account_of(user).balance, account_of(user).held) == (5_000 - expected, 0)
    assert broken_invariants() == []


def test_a_streamed_call_hides_the_usage_that_the_caller_did_not_ask_for(channel, client_of, sandbox) -> None:
    user = make_user(balance=5_000)

    chunks = list(ask(client_of(make_token(user)), "one two three", stream=True))

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text.split() == ["one", "two", "three"]
    assert all(chunk.choices for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    record = UsageRecord.objects.get()
    assert record.is_stream
    assert record.usage_source == "upstream"
    assert balance_of(user) == 5_000 - record.quota
    assert sandbox.requests()["recent"][-1]["include_usage"] is True


def test_a_streamed_call_shows_the_usage_to_callers_who_ask(channel, client_of) -> None:
    made = make_token(make_user(balance=5_000))

    chunks = list(ask(client_of(made), stream=True, stream_options={"include_usage": True}))

    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == UsageRecord.objects.get().completion_tokens


def test_usage_that_the_provider_never_reports_is_estimated_and_marked(channel, client_of) -> None:
    made = make_token(make_user(balance=5_000))

    ask(client_of(made), model="sandbox-no-usage")
    list(ask(client_of(made), model="sandbox-no-usage", stream=True))

    records = UsageRecord.objects.order_by("pk")
    assert [record.usage_source for record in records] == ["estimated", "estimated"]
    assert all(record.quota > 0 for record in records)


def test_an_empty_account_is_refused_naming_the_user_quota_and_what_to_do(channel, client_of) -> None:
    user = make_user(balance=10)

    with pytest.raises(openai.PermissionDeniedError) as refusal:
        ask(client_of(make_token(user)))

    error = refusal.value
    assert error.code == "insufficient_user_quota"
    assert error.body["details"]["quota"] == "user"
    assert error.body["details"]["left"] == 10
    assert error.body["details"]["needed"] > 10
    assert "user quota" in error.message
    assert "$0.00002" in error.message
    assert "channel" in error.message
    assert error.response.headers["x-should-retry"] == "false"
    assert Hold.objects.count() == 0


def test_a_token_limit_is_named_when_it_is_the_obstacle_in_the_callers_language(channel, client_of) -> None:
    made = make_token(make_user(balance=5_000, language="zh-hans"), quota_limit=10)

    with pytest.raises(openai.PermissionDeniedError) as refusal:
        ask(client_of(made))

    assert refusal.value.code == "pre_consume_token_quota_failed"
    assert refusal.value.body["details"]["quota"] == "token"
    assert "令牌自身" in refusal.value.message
    assert "服务商" in refusal.value.message
    assert "provider" not in refusal.value.message


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("sandbox-rate-limit", 429, "upstream_rate_limited"),
        ("sandbox-insufficient-quota", 503, "upstream_unavailable"),
        ("sandbox-spend-limit", 503, "upstream_unavailable"),
        ("sandbox-invalid-key", 503, "upstream_unavailable"),
        ("sandbox-exhausted-capacity", 429, "upstream_rate_limited"),
        ("sandbox-server-error", 502, "upstream_error"),
        ("unpriced-model", 404, "model_not_priced"),
        ("unknown-model", 404, "model_not_found"),
    ],
)
def test_trouble_upstream_is_never_put_on_the_callers_quota(channel, client_of, model, status, code) -> None:
    user = make_user(balance=5_000)

    with pytest.raises(openai.APIStatusError) as refusal:
        ask(client_of(make_token(user)), model=model)

    assert (refusal.value.status_code, refusal.value.code) == (status, code)
    assert (account_of(user).balance, account_of(user).held) == (5_000, 0)
    assert broken_invariants() == []


def test_a_cut_stream_is_charged_for_what_was_served_and_ends_with_an_error(channel, client_of) -> None:
    user = make_user(balance=5_000)

    with pytest.raises(openai.APIError):
        list(ask(client_of(make_token(user)), "a b c d e f g h", model="sandbox-drop", stream=True))

    record = UsageRecord.objects.get()
    assert (record.status, record.usage_source) == ("interrupted", "estimated")
    assert 0 < record.quota == 5_000 - balance_of(user)


def test_a_cut_json_answer_costs_nothing_because_nothing_was_served(channel, client_of) -> None:
    user = make_user(balance=5_000)

    with pytest.raises(openai.InternalServerError):
        ask(client_of(make_token(user)), model="sandbox-drop")

    assert UsageRecord.objects.get().status == "failed"
    assert (account_of(user).balance, account_of(user).held) == (5_000, 0)


def test_models_lists_what_the_token_may_call(channel, client_of) -> None:
    user = make_user()
    limited = make_token(user, allowed_models=["sandbox-echo", "elsewhere"])

    models = [model.id for model in client_of(limited).models.list()]

    assert models == ["sandbox-echo"]
    assert client_of(limited).models.retrieve("sandbox-echo").id == "sandbox-echo"
    with pytest.raises(openai.NotFoundError):
        client_of(limited).models.retrieve("elsewhere")
