"""DeepInfra: the balance in dollars with its sign turned round, told to any key with access to billing.

https://github.com/deepinfra/docs: ``GET /payment/checklist?compute_owed=true``; what is owed is positive, so
what is left is negative.
"""

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import flag, main_amount
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class DeepInfra(Adapter):
    code = "deepinfra"
    title = "DeepInfra"
    source = "https://github.com/deepinfra/docs"
    hosts = ("api.deepinfra.com",)

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        url = f"{account.origin}/payment/checklist?compute_owed=true"
        data = ask.get(url, headers=bearer(account.key))
        owed, is_suspended = main_amount(data, "stripe_balance"), flag(data, "suspended")
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency="USD",
                remaining=None if owed is None else -owed,
                is_usable=None if is_suspended is None else not is_suspended,
            )
        ]
