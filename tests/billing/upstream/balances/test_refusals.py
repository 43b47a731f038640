"""What adapters make of answers that are late, broken, hostile or a no: one of two errors, and no secret."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest

from billing.upstream.balances.errors import BalanceRefusedError, BalanceUnavailableError
from billing.upstream.balances.reading import Account
from billing.upstream.balances.registry import ADAPTERS, read_balance
from tests.billing.upstream.balances.contracts import ADMIN_KEY, KEY, Contract
from tests.billing.upstream.balances.provider import NOW, Answering, Provider
from tests.billing.upstream.balances.reading_of import (
    FIRST,
    NEEDED,
    OPTIONAL,
    answer_otherwise,
    name_of,
    read,
)

each_needed_step = pytest.mark.parametrize(("contract", "number"), NEEDED, ids=name_of)
each_optional_step = pytest.mark.parametrize(("contract", "number"), OPTIONAL, ids=name_of)
each_step = pytest.mark.parametrize(("contract", "number"), NEEDED + OPTIONAL, ids=name_of)
FORBIDDEN = [step for step in NEEDED if step != (FIRST["openai_costs"], 0)]
"""A limit that is not told is no reason not to ask for the costs."""

NO_JSON_OBJECT = {
    "a web page": "<!DOCTYPE html><title>Sign in</title>",
    "half of JSON": '{"object":"billing_subscription","hard_limit_usd":10',
    "nothing": "",
    "a list": "[1,2]",
    "a list of objects": '[{"currency":"USD"}]',
    "a number": "17",
    "null": "null",
    "a text": '"ok"',
    "nested without end": "[" * 200_000,
    "not a number": '{"hard_limit_usd":NaN,"data":{"balance":Infinity}}',
    "an endless exponent": '{"hard_limit_usd":1.0e99999999999999999999}',
    "an endless integer": '{"hard_limit_usd":' + "9" * 5000 + "}",
    "ten megabytes": " " * 10_000_000,
    "bytes that are no text": b"\xff\xfe\x00{",
}
WRONG_TYPES = (
    '{"object":"billing_subscription","hard_limit_usd":true,"data":"x","balance_infos":{},"info":7,"total":[],'
    '"Success":"yes","Result":3,"code":"0","balance":{},"accounts":{},"balances":null,"threshold_amount":"much",'
    '"currency":"USD","interval":"month","availableBalance":[],"credit_balance":"","stripe_balance":"1,5",'
    '"cashBalance":"eight","total_available":false}'
)


@pytest.mark.parametrize(
    "garbage", [*NO_JSON_OBJECT.values(), "{}", WRONG_TYPES], ids=lambda body: repr(body[:20])
)
@each_needed_step
def test_every_adapter_survives_garbage(
    contract: Contract, number: int, garbage: str | bytes, provider: Provider
) -> None:
    answer_otherwise(provider, contract, number, Answering(body=garbage))

    with pytest.raises(BalanceRefusedError):
        read(contract, provider)


@pytest.mark.parametrize("status", [400, 401, 405, 418])
@each_needed_step
def test_a_no_is_definite(contract: Contract, number: int, status: int, provider: Provider) -> None:
    answer_otherwise(provider, contract, number, Answering(status, '{"error":{"message":"no such key"}}'))

    with pytest.raises(BalanceRefusedError, match=f"HTTP {status}: no such key"):
        read(contract, provider)


@pytest.mark.parametrize(("contract", "number"), FORBIDDEN, ids=name_of)
def test_forbidden_is_definite(contract: Contract, number: int, provider: Provider) -> None:
    answer_otherwise(provider, contract, number, Answering(403, '{"error":{"message":"not for you"}}'))

    with pytest.raises(BalanceRefusedError, match="HTTP 403: not for you"):
        read(contract, provider)


@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"message":"no such token","type":"one_api_error"}}',
        '{"error":"no such token"}',
        '{"success":false,"message":"no such token"}',
        '{"detail":"no such token"}',
    ],
)
@each_needed_step
def test_a_no_with_status_200_is_a_no(contract: Contract, number: int, body: str, provider: Provider) -> None:
    answer_otherwise(provider, contract, number, Answering(body=body))

    with pytest.raises(BalanceRefusedError, match="no such token"):
        read(contract, provider)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@each_needed_step
def test_a_redirect_is_not_followed(contract: Contract, number: int, status: int, provider: Provider) -> None:
    elsewhere = Answering(status, "", {"Location": f"{provider.origin}/elsewhere"})
    answer_otherwise(provider, contract, number, elsewhere)

    with pytest.raises(BalanceRefusedError, match="redirects elsewhere"):
        read(contract, provider)

    assert len(provider.asked) == number + 1


@pytest.mark.parametrize(
    "answer",
    [
        *(Answering(body=body) for body in NO_JSON_OBJECT.values()),
        Answering(body='{"success":false,"message":"log in"}'),
        Answering(302, "", {"Location": "/login"}),
        Answering(401, '{"error":{"message":"who are you"}}'),
        Answering(404, "404 page not found"),
        Answering(body="{}"),
        Answering(body='{"status":"ok","data":[]}'),
    ],
    ids=lambda answer: f"{answer.status} {answer.body[:20]!r}",
)
@each_optional_step
def test_a_site_that_does_not_say_what_it_shows_is_as_one_api_is_when_new(
    contract: Contract, number: int, answer: Answering, provider: Provider
) -> None:
    answer_otherwise(provider, contract, number, answer)

    assert read(contract, provider) == contract.readings


@pytest.mark.parametrize(
    "body",
    [
        '{"success":true,"data":{"quota_display_type":"EUR"}}',
        '{"success":true,"data":{"quota_display_type":3}}',
        '{"success":true,"data":{"display_in_currency":"no"}}',
        '{"success":true,"data":{"quota_per_unit":"many"}}',
    ],
)
@each_optional_step
def test_a_site_that_says_oddly_what_it_shows_is_not_guessed_at(
    contract: Contract, number: int, body: str, provider: Provider
) -> None:
    answer_otherwise(provider, contract, number, Answering(body=body))

    with pytest.raises(BalanceRefusedError, match="not as documented"):
        read(contract, provider)


def test_a_site_with_a_unit_of_its_own_is_not_guessed_at(provider: Provider) -> None:
    provider.says('{"success":true,"data":{"quota_display_type":"CUSTOM","quota_per_unit":500000}}')

    with pytest.raises(BalanceRefusedError, match="a unit of its own"):
        read(FIRST["one_api_token"], provider)


@pytest.mark.parametrize("status", [403, 404])
def test_costs_are_told_without_a_limit(status: int, provider: Provider) -> None:
    answer_otherwise(provider, FIRST["openai_costs"], 0, Answering(status, '{"error":{"message":"no"}}'))

    reading = read(FIRST["openai_costs"], provider)[0]

    assert (reading.limit, reading.remaining, reading.is_unlimited) == (None, None, False)
    assert str(reading.used) == "12.56"


@pytest.mark.parametrize(
    ("code", "body", "words"),
    [
        ("moonshot_cn", '{"code":5,"message":"who are you","status":false}', "who are you"),
        ("moonshot_cn", '{"code":false,"data":{"available_balance":1}}', "not as documented: code"),
        ("siliconflow_cn", '{"code":30001,"message":"too poor","data":{"totalBalance":"1"}}', "too poor"),
        ("alibaba_cn", '{"Code":"NotApplicable","Message":"not you","Success":false}', "not you"),
        (
            "volcengine",
            '{"ResponseMetadata":{"Error":{"Code":"RecordNoFound","Message":"The Record No Found."}}}',
            "The Record No Found",
        ),
        ("new_api_token", '{"code":false,"message":"token not found"}', "token not found"),
        (
            "zenmux",
            '{"success":"no","data":{"currency":"usd","total_credits":1}}',
            "not as documented: success",
        ),
        ("one_api_account", '{"success":1,"data":{"quota":1}}', "not as documented: success"),
        ("one_api_token", '{"object":"list","hard_limit_usd":1}', "not as documented: object"),
        ("openai_dashboard", '{"hard_limit_usd":1}', "not as documented: object"),
        ("deepseek", '{"is_available":true,"balance_infos":[]}', "not as documented: balance_infos"),
        (
            "deepseek",
            '{"balance_infos":[{"currency":"USD","total_balance":"1"},{"currency":"usd","total_balance":"2"}]}',
            "not as documented: balance_infos",
        ),
        ("deepseek", '{"balance_infos":[{"currency":"RMB¥","total_balance":"1"}]}', "documented: currency"),
        ("openrouter", '{"data":{"limit":1,"limit_reset":"hourly"}}', "not as documented: limit_reset"),
        ("openrouter", '{"data":{"limit_remaining":1,"usage":1}}', "not as documented: limit"),
        ("litellm", '{"info":{"spend":1}}', "not as documented: max_budget"),
        ("fireworks", '{"accounts":[{"name":"accounts/a"},{"name":"accounts/b"}]}', "enter the account ID"),
        ("fireworks", '{"accounts":[]}', "enter the account ID"),
        ("ppio", '{"credit_balance":"12345678901234567"}', "too large"),
        ("stepfun", '{"balance":1000000000}', "too large"),
        ("stepfun", '{"balance":-1000000000}', "too large"),
        ("litellm", '{"info":{"max_budget":1,"spend":1,"expires":"0001-01-01T00:00:00+10:00"}}', "expires"),
        ("new_api_token", '{"code":true,"data":{"total_available":1,"expires_at":1e15}}', "expires_at"),
    ],
)
def test_what_a_provider_means_by_no_is_understood(
    code: str, body: str, words: str, provider: Provider
) -> None:
    number = [step.is_optional for step in FIRST[code].steps].index(False)
    answer_otherwise(provider, FIRST[code], number, Answering(body=body))

    with pytest.raises(BalanceRefusedError, match=re.escape(words)):
        read(FIRST[code], provider)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (403, '"Invalid token"', "HTTP 403: Invalid token"),
        (400, '{"Code":"NotAuthorized","Message":"not for you"}', "HTTP 400: not for you"),
        (403, '{"ResponseMetadata":{"Error":{"Message":"no signature"}}}', "HTTP 403: no signature"),
        (401, '{"code":16,"msg":"","reason":"INVALID_API_KEY"}', "HTTP 401: INVALID_API_KEY"),
        (404, "404 page not found\nmore", "HTTP 404: 404 page not found"),
        (404, "<html>gone</html>", "HTTP 404"),
        (401, "\x01\x02", "HTTP 401"),
        (401, "[]", "HTTP 401"),
        (401, "", "HTTP 401"),
    ],
)
def test_the_words_of_a_provider_are_found_wherever_they_are(
    status: int, body: str, words: str, provider: Provider
) -> None:
    provider.answers = [Answering(status, body)]

    with pytest.raises(BalanceRefusedError) as caught:
        read(FIRST["deepseek"], provider)

    assert str(caught.value) == words
    assert caught.value.status == status


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 524])
@each_step
def test_a_not_now_is_no_refusal(contract: Contract, number: int, status: int, provider: Provider) -> None:
    answer_otherwise(provider, contract, number, Answering(status, '{"error":{"message":"later"}}'))

    with pytest.raises(BalanceUnavailableError, match=f"HTTP {status}: later") as caught:
        read(contract, provider)

    assert caught.value.is_retryable
    assert caught.value.retry_after_s is None


def test_zenmux_says_not_now_with_a_status_of_its_own(provider: Provider) -> None:
    provider.answers = [Answering(422, '{"error":{"message":"too many"}}', {"Retry-After": "60"})]

    with pytest.raises(BalanceUnavailableError, match="too many") as caught:
        read(FIRST["zenmux"], provider)

    assert caught.value.retry_after_s == 60


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("17", 17),
        ("0", 1),
        ("999999999", 86_400),
        ("99999999999999999999", None),
        ("Thu, 26 Nov 2026 15:32:45 GMT", 120),
        ("Thu, 26 Nov 2026 15:32:45 -0000", 120),
        ("Thu, 26 Nov 2020 15:32:45 GMT", 1),
        ("Thu, 99 Nov 2026 15:32:45 GMT", None),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_the_wait_that_a_provider_asks_for_is_told(
    retry_after: str, seconds: int | None, provider: Provider
) -> None:
    provider.answers = [Answering(429, "{}", {"Retry-After": retry_after})]

    with pytest.raises(BalanceUnavailableError) as caught:
        read(FIRST["deepseek"], provider)

    assert caught.value.retry_after_s == seconds


@each_step
def test_a_provider_that_does_not_answer_is_unavailable(
    contract: Contract, number: int, provider: Provider
) -> None:
    answer_otherwise(provider, contract, number, Answering(is_hanging=True))

    with pytest.raises(BalanceUnavailableError, match="No complete answer within"):
        read(contract, provider, timeout=timedelta(seconds=0.1))


def test_a_provider_that_stops_in_the_middle_is_unavailable(provider: Provider) -> None:
    provider.answers = [Answering(body='{"is_available":true', length=500)]

    with pytest.raises(BalanceUnavailableError):
        read(FIRST["deepseek"], provider)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1", "http://nowhere.invalid"])
def test_an_address_where_nobody_answers_is_unavailable(base_url: str) -> None:
    with pytest.raises(BalanceUnavailableError):
        read_balance("deepseek", Account(base_url=base_url, key=KEY), now=NOW)


@pytest.mark.parametrize("key", ["sk-one\nx-other: 2", "sk-密钥-123", "sk-\x00"])
def test_a_key_that_no_header_can_have_is_refused_and_not_sent(key: str, provider: Provider) -> None:
    account = Account(base_url="https://api.deepseek.com", key=key)

    with pytest.raises(BalanceRefusedError, match="characters that no key has"):
        ADAPTERS["deepseek"].read(account, provider.ask(key))

    assert provider.asked == []


@pytest.mark.parametrize("secret", [KEY, ADMIN_KEY], ids=["key", "admin key"])
@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"message":"Incorrect key %(raw)s"}}',
        '{"error":{"message":"%(padding)s%(raw)s"}}',
        '{"message":"at https://x/?k=%(quoted)s","success":false}',
        '{"message":"key %(escaped)s is wrong","code":1,"Success":0}',
        "wrong: %(raw)s",
    ],
)
@pytest.mark.parametrize(("status", "error"), [(401, BalanceRefusedError), (500, BalanceUnavailableError)])
def test_no_secret_is_in_an_error(
    status: int, error: type[Exception], body: str, secret: str, provider: Provider
) -> None:
    quoted, escaped = quote(secret, safe=""), secret.replace("/", "\\/")
    filled = body % {"raw": secret, "quoted": quoted, "escaped": escaped, "padding": "." * 495}
    provider.answers = [Answering(status, filled)]
    account = Account(base_url="https://openrouter.ai", key=KEY, admin={"management_key": ADMIN_KEY})
    adapter = ADAPTERS["openrouter"]

    with pytest.raises(error) as caught:
        adapter.read(account, provider.ask(*adapter.secrets(account)))

    told = f"{caught.value} {caught.value.full_text} {caught.value.context}"
    assert secret[:5] not in told
    assert quoted[-8:] not in told


@pytest.mark.parametrize("code", list(FIRST))
def test_every_adapter_names_its_secrets(code: str, provider: Provider) -> None:
    adapter = ADAPTERS[code]
    admin = {field.name: f"{field.name}-0123456789" for field in adapter.fields}
    hidden = {f"{field.name}-0123456789" for field in adapter.fields if field.is_secret}

    assert set(adapter.secrets(Account(base_url="https://x", key=KEY, admin=admin))) == {KEY} | hidden
    assert adapter.secrets(Account(base_url="https://x", key=KEY))[0] == KEY


def test_what_is_too_short_to_be_a_secret_changes_no_amount(provider: Provider) -> None:
    provider.says(FIRST["deepseek"].steps[0].answer)
    account = Account(base_url="https://api.deepseek.com", key="1")

    readings = ADAPTERS["deepseek"].read(account, provider.ask("1", ""))

    assert readings == FIRST["deepseek"].readings


def test_an_account_does_not_show_its_secrets() -> None:
    account = Account(base_url="https://x.example.com", key=KEY, admin={"admin_key": ADMIN_KEY})

    assert KEY not in repr(account)
    assert ADMIN_KEY not in repr(account)
