"""What reports make of answers that are late, broken, or a no: one of two errors, no sum, and no secret."""

import json
from contextlib import suppress
from itertools import chain, repeat
from typing import Any

import pytest

from billing.upstream import client
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.errors import BalanceRefusedError, BalanceUnavailableError
from billing.upstream.balances.reading import Account
from billing.upstream.usage_reports.registry import REPORTS, read_usage
from billing.upstream.usage_reports.report import Tokens
from tests.billing.upstream.balances.provider import NOW, Answering, Provider
from tests.billing.upstream.balances.test_odd_fields import ODD_VALUES, leaves, replaced
from tests.billing.upstream.balances.test_refusals import NO_JSON_OBJECT
from tests.billing.upstream.usage_reports.reporting import (
    ADMIN_KEY,
    anthropic_page,
    anthropic_result,
    openai_page,
    openai_result,
)
from tests.billing.upstream.usage_reports.test_contracts import KEY, MINUTES, minute, read

each_report = pytest.mark.parametrize("code", list(REPORTS))
DOCUMENTED = {
    "openai_costs": openai_page(
        (minute(0), [openai_result("gpt-4o", requests=5, prompt=1000, cached=800, completion=500)])
    ),
    "anthropic_costs": anthropic_page(
        (
            "2026-11-26T15:00:00Z",
            [anthropic_result("claude", uncached=1500, cached=200, written=(1000, 500), output=500)],
        )
    ),
}
WRONG_TYPES = '{"data":[{"start_time":"x","starting_at":7,"results":[{}]}],"has_more":"no"}'


@pytest.mark.parametrize(
    "garbage", [*NO_JSON_OBJECT.values(), "{}", WRONG_TYPES], ids=lambda body: repr(body[:20])
)
@each_report
def test_garbage_is_no_report(code: str, garbage: str | bytes, provider: Provider) -> None:
    provider.answers = [Answering(body=garbage)]

    with pytest.raises(BalanceRefusedError):
        read(code, provider)


@pytest.mark.parametrize(
    "body",
    [
        '{"error":{"message":"no such key"}}',
        '{"error":"no such key"}',
        '{"type":"error","error":{"type":"authentication_error","message":"no such key"}}',
        '{"success":false,"message":"no such key"}',
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
@each_report
def test_a_no_is_definite_whatever_its_status(code: str, status: int, body: str, provider: Provider) -> None:
    provider.answers = [Answering(status, body)]

    with pytest.raises(BalanceRefusedError, match="no such key"):
        read(code, provider)


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
@each_report
def test_a_not_now_on_the_second_page_is_no_refusal_and_no_sum(
    code: str, status: int, provider: Provider
) -> None:
    first = DOCUMENTED[code].replace('"has_more":false,"next_page":null', '"has_more":true,"next_page":"two"')
    provider.answers = [
        Answering(body=first),
        Answering(status, '{"error":{"message":"later"}}', {"Retry-After": "17"}),
    ]

    with pytest.raises(BalanceUnavailableError, match=f"HTTP {status}: later") as caught:
        read(code, provider)

    assert caught.value.retry_after_s == 17


@each_report
def test_a_report_without_an_end_is_no_sum(code: str, provider: Provider) -> None:
    provider.says(*(f'{{"data":[],"has_more":true,"next_page":"{number}"}}' for number in range(10)))

    with pytest.raises(BalanceRefusedError, match="too many pages"):
        read(code, provider)


@pytest.mark.parametrize(
    ("code", "old", "new", "field"),
    [
        ("openai_costs", '"input_tokens":1000', '"input_tokens":null', "input_tokens"),
        ("openai_costs", '"input_tokens":1000', '"input_tokens":-1', "input_tokens"),
        ("openai_costs", '"output_tokens":500', '"output_tokens":0.5', "output_tokens"),
        ("openai_costs", '"num_model_requests":5', '"num_model_requests":"many"', "num_model_requests"),
        ("openai_costs", '"model":"gpt-4o"', '"model":null', "model"),
        ("openai_costs", '"start_time":1795705200', '"start_time":null', "start_time"),
        ("anthropic_costs", '"uncached_input_tokens":1500,', "", "uncached_input_tokens"),
        ("anthropic_costs", '"cache_read_input_tokens":200,', "", "cache_read_input_tokens"),
        ("anthropic_costs", '"cache_creation":{', '"cache":{', "cache_creation"),
        ("anthropic_costs", '"ephemeral_5m_input_tokens":500', '"x":1', "ephemeral_5m_input_tokens"),
        ("anthropic_costs", '"ephemeral_1h_input_tokens":1000', '"x":1', "ephemeral_1h_input_tokens"),
        ("anthropic_costs", '"output_tokens":500,', "", "output_tokens"),
        ("anthropic_costs", '"starting_at":"2026-11-26T15:00:00Z"', '"starting_at":null', "starting_at"),
    ],
)
def test_a_sum_with_an_odd_part_is_no_sum(
    code: str, old: str, new: str, field: str, provider: Provider
) -> None:
    assert old in DOCUMENTED[code]
    provider.says(DOCUMENTED[code].replace(old, new))

    with pytest.raises(BalanceRefusedError, match=f"not as documented: {field}"):
        read(code, provider)


def straight_from(body: str) -> Ask:
    """Asks nobody: the answer is at hand, and comes for ever."""
    answers = chain([body], repeat(body))

    def transport(*_args: Any, **_more: Any) -> client.Answer:
        said = next(answers)
        return client.Answer(status=200, data=client._parsed(said), text=said, elapsed_ms=1)

    return Ask(now=NOW, transport=transport)


@each_report
def test_one_odd_field_makes_counts_or_a_refusal(code: str) -> None:
    account = Account(base_url="https://api.example.com", key=KEY, admin={"admin_key": ADMIN_KEY})
    found: list[Tokens] = []
    for path in leaves(json.loads(DOCUMENTED[code])):
        for value in ODD_VALUES:
            with suppress(BalanceRefusedError):
                body = replaced(DOCUMENTED[code], path, value)
                found += REPORTS[code].read(account, MINUTES, straight_from(body)).values()

    counts = [one for used in found for one in (used.prompt_tokens, used.completion_tokens, used.total)]
    assert counts
    assert {type(one) for one in counts} == {int}
    assert min(counts) >= 0


@each_report
def test_without_the_admin_key_nobody_is_asked(code: str) -> None:
    account = Account(base_url="https://api.example.com", key=KEY)

    with pytest.raises(BalanceRefusedError, match="Enter this first: Admin key"):
        read_usage(code, account, MINUTES, now=NOW)


@each_report
def test_no_secret_is_in_an_error(code: str, provider: Provider) -> None:
    provider.answers = [Answering(401, f'{{"error":{{"message":"Incorrect key {ADMIN_KEY} or {KEY}"}}}}')]

    with pytest.raises(BalanceRefusedError) as caught:
        read(code, provider)

    assert ADMIN_KEY[-8:] not in caught.value.full_text
    assert KEY not in caught.value.full_text
    assert KEY not in provider.asked[0].everything
