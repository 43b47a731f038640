"""DeepSeek: the balance, told to any key, one for each currency of the account.

https://api-docs.deepseek.com/api/get-user-balance: ``GET /user/balance``, amounts as text.
"""

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import amount, currency, flag, main_amount, mappings, odd
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class DeepSeek(Adapter):
    code = "deepseek"
    title = "DeepSeek"
    source = "https://api-docs.deepseek.com/api/get-user-balance"
    hosts = ("api.deepseek.com",)

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        data = ask.get(f"{account.origin}/user/balance", headers=bearer(account.key))
        infos = mappings(data, "balance_infos")
        if len({currency(info, "currency") for info in infos}) != len(infos) or not infos:
            raise odd("balance_infos")
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency=currency(info, "currency"),
                remaining=main_amount(info, "total_balance"),
                granted=amount(info, "granted_balance"),
                topped_up=amount(info, "topped_up_balance"),
                is_usable=flag(data, "is_available"),
            )
            for info in infos
        ]
