"""Reading contracts whose answers go as documented up to some step."""

from typing import Any

from billing.upstream.balances.reading import Reading
from billing.upstream.balances.registry import ADAPTERS
from tests.billing.upstream.balances.contracts import FIRST_OF, Contract
from tests.billing.upstream.balances.provider import Answering, Provider

FIRST = {code: contract for code, contract in FIRST_OF.items() if contract.steps}
"""The plainest contract of each adapter that asks."""
_ALL = [(contract, number) for contract in FIRST.values() for number in range(len(contract.steps))]
NEEDED = [step for step in _ALL if not step[0].steps[step[1]].is_optional]
OPTIONAL = [step for step in _ALL if step[0].steps[step[1]].is_optional]


def name_of(value: Contract | int) -> str:
    return value.name if isinstance(value, Contract) else str(value)


def read(contract: Contract, provider: Provider, **options: Any) -> list[Reading]:
    adapter = ADAPTERS[contract.code]
    return adapter.read(contract.account, provider.ask(*adapter.secrets(contract.account), **options))


def answer_otherwise(provider: Provider, contract: Contract, number: int, answer: Answering) -> None:
    """Answer as documented, but for one step."""
    provider.start_again()
    provider.answers = [Answering(body=step.answer) for step in contract.steps]
    provider.answers[number] = answer
