"""Answers that are nearly as documented: fields that are null, or of another kind, and reports without an end."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import chain, repeat
from typing import Any

import pytest

from billing.upstream import client
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.errors import BalanceRefusedError
from billing.upstream.balances.registry import ADAPTERS
from tests.billing.upstream.balances.contracts import Contract
from tests.billing.upstream.balances.provider import NOW, Provider
from tests.billing.upstream.balances.reading_of import FIRST, read


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything in a document, the document itself aside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inside:
        yield (*path, name)
        yield from leaves(part, (*path, name))


def replaced(document: str, path: tuple[Any, ...], value: str) -> str:
    whole = json.loads(document)
    inner = whole
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = "\ue000"
    return json.dumps(whole).replace(json.dumps("\ue000"), value)


ODD_VALUES = [
    "null",
    "true",
    '"abc"',
    '"NaN"',
    '"１２"',
    "[]",
    "[1]",
    "{}",
    "-1",
    "0",
    "1e30",
    "1e-400",
    '"1_0"',
]


def oddly(contract: Contract) -> Iterator[list[str]]:
    """The documented answers with one field changed, in every way."""
    bodies = [step.answer for step in contract.steps]
    for number, body in enumerate(bodies):
        for path in leaves(json.loads(body)):
            for value in ODD_VALUES:
                yield [*bodies[:number], replaced(body, path, value), *bodies[number + 1 :]]


def straight_from(bodies: list[str]) -> Ask:
    """Asks nobody: the answers are at hand, and the last one comes for ever."""
    answers = chain(bodies, repeat(bodies[-1]))

    def transport(*_args: Any, **_more: Any) -> client.Answer:
        body = next(answers)
        return client.Answer(status=200, data=client._parsed(body), text=body, elapsed_ms=1)

    return Ask(now=NOW, transport=transport)


@pytest.mark.parametrize("contract", FIRST.values(), ids=lambda contract: contract.name)
def test_one_odd_field_makes_a_reading_or_a_refusal(contract: Contract) -> None:
    readings = []
    for bodies in oddly(contract):
        with suppress(BalanceRefusedError):
            readings += ADAPTERS[contract.code].read(contract.account, straight_from(bodies))

    amounts = [amount for reading in readings for amount in reading.amounts]
    assert amounts
    assert {type(amount) for amount in amounts} == {Decimal}
    assert all(amount.is_finite() and len(f"{amount:f}") < 60 for amount in amounts)
    assert all(re.fullmatch("[A-Z]{3}", reading.currency) for reading in readings)


@pytest.mark.parametrize(
    ("code", "field", "unknown"),
    [
        ("deepseek", '"total_balance":"110.00"', "remaining"),
        ("deepseek", '"granted_balance":"10.00"', "granted"),
        ("moonshot_cn", '"available_balance":49.58894', "remaining"),
        ("moonshot_cn", '"available_balance":49.58894', "is_usable"),
        ("siliconflow_cn", '"totalBalance":"88.88"', "remaining"),
        ("stepfun", '"balance":15.2', "remaining"),
        ("alibaba_cn", '"AvailableAmount":"-11.19"', "remaining"),
        ("volcengine", '"AvailableBalance":"77.01"', "remaining"),
        ("baidu", '"cashBalance": 850.0000', "remaining"),
        ("xai", '"val":"-1000"', "remaining"),
        ("novita", '"availableBalance":"1000000"', "remaining"),
        ("ppio", '"credit_balance":1000000', "remaining"),
        ("deepinfra", '"stripe_balance":-12.3', "remaining"),
        ("deepinfra", '"suspended":false', "is_usable"),
        ("venice", '"usd":25', "remaining"),
        ("venice", '"canConsume":true', "is_usable"),
        ("ai302", '"balance":"12.34"', "remaining"),
        ("zenmux", '"total_credits":482.74', "remaining"),
        ("litellm", '"spend":0.0001065', "remaining"),
        ("litellm", '"spend":0.0001065', "used"),
        ("openrouter", '"limit_remaining":74.5', "remaining"),
        ("credit_grants", '"total_available":4.97', "remaining"),
        ("one_api_token", '"total_usage":2500.0', "remaining"),
        ("one_api_token", '"hard_limit_usd":100.0', "remaining"),
        ("one_api_account", '"quota":24997909', "remaining"),
        ("new_api_token", '"total_available":987655', "remaining"),
        ("openai_dashboard", '"hard_limit_usd":120.0', "remaining"),
        ("sandbox", '"total_usage":12.3456', "remaining"),
    ],
)
def test_an_amount_that_is_null_is_unknown_and_not_zero(
    code: str, field: str, unknown: str, provider: Provider
) -> None:
    contract = FIRST[code]
    name = field.partition(":")[0]
    bodies = [step.answer.replace(field, f"{name}:null") for step in contract.steps]
    assert bodies != [step.answer for step in contract.steps]
    provider.says(*bodies)

    reading = read(contract, provider)[0]

    assert getattr(reading, unknown) is None
    assert not reading.is_unlimited


@pytest.mark.parametrize("code", ["openai_costs", "anthropic_costs", "fireworks"])
def test_a_sum_with_an_unknown_part_is_no_sum(code: str, provider: Provider) -> None:
    contract = FIRST[code]
    bodies = [step.answer for step in contract.steps]
    old, new = {
        "openai_costs": ('"value":0.06', '"value":null'),
        "anthropic_costs": ('"amount":"0.5"', '"amount":null'),
        "fireworks": ('"totalCost":{"currencyCode":"USD","units":"2"}', '"totalCost":null'),
    }[code]
    bodies[-1] = bodies[-1].replace(old, new)
    assert bodies[-1] != contract.steps[-1].answer
    provider.says(*bodies)

    with pytest.raises(BalanceRefusedError, match="not as documented"):
        read(contract, provider)


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        (['{"data":[],"has_more":true,"next_page":null}'], "next_page"),
        (['{"data":[],"has_more":true,"next_page":"a"}'] * 2, "next_page"),
        ([f'{{"data":[],"has_more":true,"next_page":"{number}"}}' for number in range(10)], "too many pages"),
    ],
)
def test_a_report_that_cannot_be_read_to_its_end_is_no_sum(
    pages: list[str], words: str, provider: Provider
) -> None:
    provider.says(*pages)

    with pytest.raises(BalanceRefusedError, match=words):
        read(FIRST["anthropic_costs"], provider)

    assert provider.answers == []
