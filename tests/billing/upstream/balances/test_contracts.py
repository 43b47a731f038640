"""Every adapter against what its provider documents: over HTTP, request by request, amount by amount."""

from decimal import Decimal

import pytest

from billing.upstream.balances.errors import BalanceRefusedError
from billing.upstream.balances.reading import Account
from billing.upstream.balances.registry import ADAPTERS
from tests.billing.upstream.balances.contracts import ADMIN_KEY, CONTRACTS, KEY, Contract
from tests.billing.upstream.balances.provider import Asked, Provider
from tests.billing.upstream.balances.reading_of import read

each_contract = pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)


def test_every_adapter_has_its_contract() -> None:
    assert {contract.code for contract in CONTRACTS} == set(ADAPTERS)


@each_contract
def test_the_documented_answer_becomes_exactly_these_readings(contract: Contract, provider: Provider) -> None:
    provider.says(*(step.answer for step in contract.steps))

    readings = read(contract, provider)

    assert readings == contract.readings
    assert all(type(amount) is Decimal for reading in readings for amount in reading.amounts)


@each_contract
def test_it_is_asked_for_in_exactly_this_way(contract: Contract, provider: Provider) -> None:
    provider.says(*(step.answer for step in contract.steps))

    read(contract, provider)

    asked = [(request.method, request.url, request.headers, request.body) for request in provider.asked]
    assert asked == [
        (step.method, step.url, step.headers(request) if callable(step.headers) else step.headers, step.body)
        for step, request in zip(contract.steps, provider.asked, strict=True)
    ]


def host_of(asked: Asked) -> str:
    return asked.url.split("/")[2]


@each_contract
def test_a_credential_goes_where_it_belongs_and_nowhere_else(contract: Contract, provider: Provider) -> None:
    adapter = ADAPTERS[contract.code]
    provider.says(*(step.answer for step in contract.steps))

    read(contract, provider)

    own = contract.account.origin.removeprefix("https://")
    hosts_of_key = {host_of(asked) for asked in provider.asked if KEY in asked.everything}
    hosts_of_admin = {host_of(asked) for asked in provider.asked if ADMIN_KEY in asked.everything}
    assert hosts_of_key <= {own}
    assert hosts_of_admin <= set(adapter.admin_hosts or [own])
    assert not any(KEY in asked.everything and ADMIN_KEY in asked.everything for asked in provider.asked)
    assert not (adapter.needs_admin and hosts_of_key)


@pytest.mark.parametrize("code", [code for code, adapter in ADAPTERS.items() if adapter.needs_admin])
def test_the_key_of_the_channel_does_not_stand_in_for_an_admin_credential(
    code: str, provider: Provider
) -> None:
    account = Account(base_url="https://api.example.com", key=KEY)

    with pytest.raises(BalanceRefusedError, match="Enter this first"):
        ADAPTERS[code].read(account, provider.ask())

    assert provider.asked == []
