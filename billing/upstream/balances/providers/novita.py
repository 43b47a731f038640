"""Novita: the balance in ten-thousandths of a dollar, told to any key.

https://novita.ai/docs/api-reference/basic-get-user-balance: ``GET /openapi/v1/billing/balance/detail``,
amounts as text.
"""

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import amount, main_amount
from billing.upstream.balances.reading import Account, Reading, ReadingKind

_UNIT = 10_000


class Novita(Adapter):
    code = "novita"
    title = "Novita AI"
    source = "https://novita.ai/docs/api-reference/basic-get-user-balance"
    hosts = ("api.novita.ai",)

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        url = f"{account.origin}/openapi/v1/billing/balance/detail"
        data = ask.get(url, headers=bearer(account.key))
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency="USD",
                remaining=main_amount(data, "availableBalance", unit=_UNIT),
                topped_up=amount(data, "cashBalance", unit=_UNIT),
            )
        ]
