"""PPIO: the balance in ten-thousandths of a yuan, told to any key.

No page of the vendor's documents it. Seen in https://github.com/ThinkInAIXYZ/deepchat: ``GET /v3/user``, the
key without ``Bearer``.
"""

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.parsing import main_amount
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class PPIO(Adapter):
    code = "ppio"
    title = "PPIO"
    source = "https://github.com/ThinkInAIXYZ/deepchat"
    hosts = ("api.ppinfra.com",)

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        data = ask.get(f"{account.origin}/v3/user", headers={"authorization": account.key})
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency="CNY",
                remaining=main_amount(data, "credit_balance", unit=10_000),
            )
        ]
