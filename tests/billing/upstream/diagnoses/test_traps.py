"""The same words, codes and statuses mean different things at different providers."""

import json
from typing import Any

import pytest

from billing.upstream.diagnoses.classes import Certainty, ChannelAdvice, Responsible
from billing.upstream.diagnoses.diagnosing import Diagnosis, diagnose
from tests.billing.upstream.diagnoses.documented import (
    DOCUMENTED,
    NO_MONEY,
    google,
    openai,
    openrouter,
    relay,
)
from tests.factories import NOON


def diagnosed(status: int, body: Any = b"", **fields: Any) -> Diagnosis:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return diagnose(status=status, body=raw, **{"at": NOON, **fields})


INSUFFICIENT = {"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}}


@pytest.mark.parametrize(
    ("known", "means", "certainty"),
    [
        ({"provider": "openai"}, "credit_exhausted", "certain"),
        ({"provider": "dashscope"}, "rate_limited", "certain"),
        ({"base_url": "https://dashscope.aliyuncs.com/compatible-mode"}, "rate_limited", "certain"),
        ({"base_url": "https://api.openai.com"}, "credit_exhausted", "certain"),
        ({"headers": {"openai-processing-ms": "7"}}, "credit_exhausted", "certain"),
        ({"headers": {"X-DashScope-Call-Gateway": "true"}}, "rate_limited", "certain"),
        ({"base_url": "https://relay.example"}, "credit_exhausted", "likely"),
        ({}, "credit_exhausted", "likely"),
    ],
)
def test_insufficient_quota_is_no_money_at_openai_and_a_throttle_at_dashscope(
    known: dict[str, Any], means: str, certainty: str
) -> None:
    diagnosis = diagnosed(429, INSUFFICIENT, **known)

    assert (diagnosis.error_class, diagnosis.certainty) == (means, certainty)


def test_a_link_to_alibaba_in_the_message_tells_a_throttle_from_no_money() -> None:
    words = "You exceeded your current quota. For details: https://help.aliyun.com/zh/model-studio/error-code"

    diagnosis = diagnosed(429, openai(message=words, code="insufficient_quota"))

    assert (diagnosis.error_class, diagnosis.provider) == ("rate_limited", "dashscope")


def test_what_is_only_likely_pauses_a_channel_and_never_disables_it() -> None:
    likely = diagnosed(429, INSUFFICIENT)
    certain = diagnosed(429, INSUFFICIENT, provider="openai")

    assert likely.advice == ChannelAdvice.PAUSE
    assert "DashScope" in likely.meaning
    assert certain.advice == ChannelAdvice.DISABLE
    assert "DashScope" not in certain.meaning


def test_plan_and_billing_details_are_money_at_openai_and_maybe_a_minute_at_google() -> None:
    words = "You exceeded your current quota, please check your plan and billing details."

    of_openai = diagnosed(429, openai(message=words, type="insufficient_quota"), provider="openai")
    of_google = diagnosed(429, google(429, words, "RESOURCE_EXHAUSTED"))

    assert of_openai.error_class == "credit_exhausted"
    assert (of_google.error_class, of_google.certainty) == ("rate_limited", Certainty.LIKELY)


@pytest.mark.parametrize(
    ("provider", "status", "body", "means"),
    [
        (None, 403, b"<html>Forbidden</html>", "unknown"),
        ("together", 403, openai(message="Input token count exceeds the context length"), "too_large"),
        ("together", 403, openai(message="Your access token may not use this model"), "unknown"),
        ("together", 403, b"", "unknown"),
        ("together", 403, b"<html>Attention Required! | Cloudflare</html>", "unknown"),
        ("siliconflow", 403, {"code": 30001, "message": "m"}, "credit_exhausted"),
        ("openrouter", 403, {"error": {"code": 403, "message": "input was flagged"}}, "bad_request"),
        (None, 400, openai(message="no"), "bad_request"),
        ("dashscope", 400, {"code": "Arrearage", "message": "m"}, "credit_exhausted"),
        (None, 401, openai(message="no"), "auth_invalid"),
        ("one_api", 401, relay("该令牌额度已用尽"), "spend_limit"),
        (None, 401, relay("该令牌额度已用尽"), "spend_limit"),
        ("openai", 401, openai(code="account_deactivated"), "account_suspended"),
        (None, 402, b"", "credit_exhausted"),
        ("openrouter", 402, openrouter(402, reason="in_flight_budget_exhausted"), "rate_limited"),
        ("together", 402, b"", "spend_limit"),
        ("baidu", 200, {"error_code": 18, "error_msg": "m"}, "rate_limited"),
        (None, 200, {"error": {"message": "no", "type": "one_api_error"}}, "unknown"),
        (
            None,
            200,
            {"base_resp": {"status_code": 0, "status_msg": "success"}, "choices": []},
            "not_an_error",
        ),
        (None, 200, {"choices": [], "error": None}, "not_an_error"),
        (None, 200, {"code": 20000, "message": "Ok", "data": {}}, "not_an_error"),
        (None, 204, b"", "not_an_error"),
        (None, 301, b"", "unknown"),
        (None, 429, b"", "rate_limited"),
        (None, 529, b"", "overloaded"),
        (None, 100, b"", "unknown"),
        ("volcengine", 429, openai(code="SetLimitExceeded"), "spend_limit"),
        (None, 402, {"error": {"code": "free_quota_exceeded", "message": "m"}}, "credit_exhausted"),
        (None, 429, {"error": {"code": "quota_exceeded", "message": "m"}}, "spend_limit"),
    ],
)
def test_a_status_means_what_its_provider_means_by_it(provider, status: int, body, means: str) -> None:
    assert diagnosed(status, body, provider=provider).error_class == means


def test_a_code_is_the_same_as_a_number_and_as_a_text() -> None:
    found = [
        diagnosed(429, {"error": {"code": code, "message": "m"}}, provider="zhipu").error_class
        for code in (1113, "1113", 1113.0)
    ]

    assert found == ["credit_exhausted"] * 3


def test_words_about_money_in_a_message_alone_are_never_certain() -> None:
    for words in ("no credit balance field in your schema", "Insufficient balance", "credit"):
        diagnosis = diagnosed(429, openai(message=words))

        assert diagnosis.certainty != Certainty.CERTAIN


def test_the_words_of_a_caller_in_a_wrong_request_do_not_make_it_a_matter_of_money() -> None:
    diagnosis = diagnosed(400, openai(message="Invalid: 'insufficient balance' is no role"))

    assert (diagnosis.error_class, diagnosis.responsible) == ("bad_request", Responsible.CALLER)


HOSTS = ["https://api.openai.com", "https://api.deepseek.com", "https://relay.example", ""]
QUOTED = sorted(
    {
        json.dumps(case.body, ensure_ascii=False) if not isinstance(case.body, bytes) else case.body.decode()
        for case in DOCUMENTED
    }
)


@pytest.mark.parametrize("base_url", HOSTS)
@pytest.mark.parametrize("quoted", QUOTED)
def test_a_caller_who_writes_another_error_into_a_wrong_request_decides_nothing(quoted, base_url) -> None:
    for status in (400, 422):
        body = openai(message=f"Invalid value: '{quoted}'. Supported values are 'a' and 'b'.")

        diagnosis = diagnosed(status, body, base_url=base_url)

        assert diagnosis.responsible == Responsible.CALLER
        assert not diagnosis.is_out_of_money


@pytest.mark.parametrize("base_url", HOSTS)
@pytest.mark.parametrize(
    "quoted",
    [
        "run out of credits or need a grok subscription",
        "You have run out of credits or need a Grok subscription",
        "free-models-per-day",
        "quota_id=generaterequestsperday",
        "\nquota_id=generaterequestsperday",
        "余额不足或无可用资源包",
        "usage limit exceeded for token plan",
        "all of it: used all available credits or reached its monthly spending limit",
        "You have exhausted your capacity on this model",
        "Usage credits are required for long context requests",
        "service tier capacity exceeded",
    ],
)
def test_the_words_of_a_caller_are_no_providers(quoted: str, base_url: str) -> None:
    diagnosis = diagnosed(400, openai(message=f"Invalid value: '{quoted}'"), base_url=base_url)

    assert diagnosis.error_class == "bad_request"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Your credit balance is too low to access the Anthropic API."),
        (429, "You have run out of credits or need a Grok subscription."),
        (429, "余额不足或无可用资源包"),
    ],
)
def test_words_of_one_provider_mean_nothing_from_another_that_is_known(status: int, message: str) -> None:
    of_nobody = diagnosed(status, openai(message=message))
    of_openai = diagnosed(status, openai(message=message), base_url="https://api.openai.com")

    assert of_nobody.certainty == Certainty.CERTAIN
    assert of_openai.certainty == Certainty.LIKELY
    assert of_openai.matched.rule.startswith(("any.", "status."))


@pytest.mark.parametrize("provider", ["openai", "gemini", "groq"])
def test_who_passes_nothing_on_has_no_error_within_its_own(provider: str) -> None:
    inner = openai(message=NO_MONEY, code="insufficient_quota")
    bodies = [openai(message=json.dumps(inner)), openrouter(429, "m", raw=json.dumps(inner))]

    assert {diagnosed(400, body, provider=provider).error_class for body in bodies} == {"bad_request"}


@pytest.mark.parametrize(
    "beginning",
    [
        "",
        "bad response: ",
        "bad response status code 429, body: ",
        "Error 429: ",
        "Error code: 429 - ",
        "litellm.RateLimitError: RateLimitError: OpenAIException - ",
        "Upstream error: ",
    ],
)
def test_an_error_within_a_message_is_read_where_it_is_announced(beginning: str) -> None:
    inner = json.dumps(openai(message="m", code="insufficient_quota"))

    assert diagnosed(429, openai(message=f"{beginning}{inner}")).error_class == "credit_exhausted"
    assert diagnosed(429, openai(message=f"{beginning}'{inner}'")).error_class == "rate_limited"


def test_what_only_the_words_of_a_wrong_request_say_hurries_nothing() -> None:
    in_words = openai(message="Your credit balance is too low")
    within = openai(message=json.dumps(openai(code="insufficient_quota")))
    by_code = openai(code="billing_hard_limit_reached")

    found = [diagnosed(status, body) for status in (400, 403) for body in (in_words, within, by_code)]

    assert all(one.responsible == Responsible.OPERATOR for one in found)
    assert [one.is_out_of_money for one in found] == [False, False, True, True, True, True]


@pytest.mark.parametrize("layer", ["raw", "raw object", "message"])
def test_an_error_within_an_error_is_found_and_only_likely(layer: str) -> None:
    inner = {"error": {"message": NO_MONEY, "type": "insufficient_quota", "code": "insufficient_quota"}}
    bodies = {
        "raw": {
            "error": {
                "code": 429,
                "message": "Provider returned error",
                "metadata": {"raw": json.dumps(inner)},
            }
        },
        "raw object": {
            "error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": inner}}
        },
        "message": {
            "error": {
                "message": f"bad response: {json.dumps(inner)}",
                "type": "upstream_error",
                "code": "bad_response_status_code",
            }
        },
    }

    diagnosis = diagnosed(429, bodies[layer], base_url="https://relay.example")

    assert diagnosis.error_class == "credit_exhausted"
    assert diagnosis.certainty == Certainty.LIKELY
    assert diagnosis.matched.rule == "openai.insufficient_quota"
    assert diagnosis.matched.code == "insufficient_quota"


def test_who_wrote_what_a_relay_passes_on_is_known_beside_the_relay() -> None:
    body = openai(
        message="See https://help.aliyun.com (request id: 1)", type="one_api_error", code="insufficient_quota"
    )

    diagnosis = diagnosed(429, body)

    assert (diagnosis.provider, diagnosis.matched.rule) == ("one_api", "dashscope.insufficient_quota")


def test_the_words_of_an_error_within_are_not_those_of_the_relay() -> None:
    inner = {"error": {"code": "1113", "message": "at capacity"}}
    body = {"error": {"message": f"bad response: {json.dumps(inner)}", "type": "upstream_error"}}

    diagnosis = diagnosed(429, body)

    assert (diagnosis.error_class, diagnosis.matched.rule) == ("credit_exhausted", "zhipu.no_balance")


def test_a_provider_that_is_known_beats_what_the_words_look_like() -> None:
    looks_like_alibaba = openai(message="see https://help.aliyun.com", code="insufficient_quota")
    looks_like_zhipu = openai(code="1302")

    quota = diagnosed(429, looks_like_alibaba, provider="openai")
    code = diagnosed(429, looks_like_zhipu, provider="openai")
    through_relays = [
        diagnosed(429, body, provider="one_api") for body in (looks_like_alibaba, looks_like_zhipu)
    ]

    assert (quota.error_class, quota.provider) == ("credit_exhausted", "openai")
    assert code.matched.rule == "status.too_many_requests"
    assert [one.matched.rule for one in through_relays] == ["dashscope.insufficient_quota", "zhipu.rate"]
    assert {one.provider for one in through_relays} == {"one_api"}


def test_the_outer_error_comes_first_when_it_says_what_it_is() -> None:
    inner = json.dumps(openai(code="insufficient_quota", message=NO_MONEY))
    body = openrouter(402, "m", limit_source="openrouter_in_flight_budget", raw=inner)

    diagnosis = diagnosed(402, body)

    assert (diagnosis.error_class, diagnosis.provider) == ("rate_limited", "openrouter")


def test_what_an_account_is_too_small_for_is_told_apart_from_what_fits_nowhere() -> None:
    of_account = diagnosed(
        429, openai(message="Request too large for gpt-4o: Limit 1, Requested 2", code="rate_limit_exceeded")
    )
    anywhere = diagnosed(400, openai(code="context_length_exceeded"))

    assert (of_account.error_class, of_account.responsible) == ("too_large", Responsible.OPERATOR)
    assert (anywhere.error_class, anywhere.responsible) == ("too_large", Responsible.CALLER)


def test_needs_of_operators_are_told_with_their_times() -> None:
    no_money = diagnosed(429, openai(message=NO_MONEY, code="insufficient_quota"))
    limited = diagnosed(
        429,
        openai(code="rate_limit_exceeded"),
        headers={"X-RateLimit-Remaining-Requests": "0", "Retry-After": "20"},
    )
    capped = diagnosed(400, openai(code="billing_hard_limit_reached"))
    key = diagnosed(401, openai(code="invalid_api_key"))
    exhausted = diagnosed(
        429, openai(message="You have exhausted your capacity on this model. Your quota will reset after 0s.")
    )

    assert (no_money.lasts, no_money.retry_after_s) == ("10–15 minutes after a top-up", None)
    assert (limited.lasts, limited.retry_after_s) == ("20 seconds", 20)
    assert "month begins again" in capped.lasts
    assert "5 minutes" in key.lasts
    assert (exhausted.lasts, exhausted.retry_after_s) == ("10 seconds", 10)
    assert all(one.certainty == Certainty.CERTAIN for one in (no_money, limited, capped, key, exhausted))


@pytest.mark.parametrize(
    ("provider", "status", "body", "rule", "certainty"),
    [
        (None, 429, openai(code="credit_balance_exhausted"), "openai.credit_balance_exhausted", "certain"),
        (None, 400, openai(type="budget_exceeded"), "litellm.budget_exceeded", "certain"),
        (None, 402, openrouter(402, "can only afford 2666"), "openrouter.can_only_afford", "certain"),
        (None, 402, openrouter(402, limit_source="openrouter_credits"), "openrouter.no_credits", "certain"),
        (None, 429, openrouter(429, "free-models-per-day"), "openrouter.free_per_day", "certain"),
        (None, 401, {"code": "InvalidApiKey", "message": "m"}, "dashscope.key", "certain"),
        (None, 429, openai(code="ModelAccountTpmRateLimitExceeded"), "volcengine.rate", "certain"),
        (None, 429, openai(type="exceeded_current_quota_error"), "moonshot.no_balance", "certain"),
        ("siliconflow", 429, {"message": "m"}, "siliconflow.rate", "certain"),
        ("siliconflow", 403, {"code": 30001, "message": "m"}, "siliconflow.no_balance", "certain"),
        ("siliconflow", 403, {"message": "余额"}, "siliconflow.no_balance_in_words", "certain"),
        ("siliconflow", 403, {"message": "m"}, "siliconflow.refused", "likely"),
        (
            None,
            429,
            {"message": "Request was rejected due to rate limiting."},
            "siliconflow.rate_in_words",
            "likely",
        ),
        (
            None,
            429,
            openai(message="Insufficient balance or no resource package."),
            "zhipu.no_balance_in_words",
            "certain",
        ),
        (None, 429, {"message": "Service tier capacity exceeded"}, "mistral.capacity", "certain"),
        ("code_assist", 429, openai(code="QUOTA_EXHAUSTED"), "code_assist.quota_exhausted", "certain"),
        (
            None,
            429,
            google(429, "m", "RESOURCE_EXHAUSTED", {"violations": [{"quotaId": "RequestsPerMinute"}]}),
            "gemini.minute_quota",
            "certain",
        ),
    ],
)
def test_words_that_only_one_provider_uses_are_enough(provider, status, body, rule, certainty) -> None:
    diagnosis = diagnosed(status, body, provider=provider)

    assert (diagnosis.matched.rule, diagnosis.certainty) == (rule, certainty)
