"""Moonshot (Kimi): the balance, told to any key; a key is good in one region only, which sets the currency.

https://platform.moonshot.cn/docs/api/balance, https://platform.moonshot.ai/docs/api/balance: ``GET
/v1/users/me/balance``. Calls are refused when nothing is available.
"""

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import amount, check_success, main_amount, mapping
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class MoonshotChina(Adapter):
    code = "moonshot_cn"
    title = "Moonshot AI (moonshot.cn)"
    source = "https://platform.moonshot.cn/docs/api/balance"
    hosts = ("api.moonshot.cn",)
    currency = "CNY"

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        answer = ask.get(f"{account.origin}/v1/users/me/balance", headers=bearer(account.key))
        check_success(answer, "code", means=0)
        data = mapping(answer, "data")
        remaining = main_amount(data, "available_balance")
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency=self.currency,
                remaining=remaining,
                granted=amount(data, "voucher_balance"),
                topped_up=amount(data, "cash_balance"),
                is_usable=None if remaining is None else remaining > 0,
            )
        ]


class MoonshotInternational(MoonshotChina):
    code = "moonshot_ai"
    title = "Moonshot AI (moonshot.ai)"
    source = "https://platform.moonshot.ai/docs/api/balance"
    hosts = ("api.moonshot.ai",)
    currency = "USD"
