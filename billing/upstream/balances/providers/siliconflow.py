"""SiliconFlow: the balance, told to any key; a key is good in one region only, which sets the currency.

https://docs.siliconflow.cn/cn/api-reference/userinfo/get-user-info: ``GET /v1/user/info``, amounts as text,
and ``code`` 20000 for success. The numbers were seen to leave out vouchers and to fall below zero while calls
were served.
"""

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import amount, check_success, main_amount, mapping
from billing.upstream.balances.reading import Account, Reading, ReadingKind

_SUCCESS = 20_000


class SiliconFlowChina(Adapter):
    code = "siliconflow_cn"
    title = "SiliconFlow (siliconflow.cn)"
    source = "https://docs.siliconflow.cn/cn/api-reference/userinfo/get-user-info"
    note = _("May differ from the console, and leave out vouchers.")
    hosts = ("api.siliconflow.cn",)
    currency = "CNY"

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        answer = ask.get(f"{account.origin}/v1/user/info", headers=bearer(account.key))
        check_success(answer, "code", means=_SUCCESS)
        data = mapping(answer, "data")
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency=self.currency,
                remaining=main_amount(data, "totalBalance"),
                granted=amount(data, "balance"),
                topped_up=amount(data, "chargeBalance"),
                is_weak=True,
            )
        ]


class SiliconFlowInternational(SiliconFlowChina):
    code = "siliconflow_com"
    title = "SiliconFlow (siliconflow.com)"
    source = "https://docs.siliconflow.com/en/api-reference/userinfo/get-user-info"
    hosts = ("api.siliconflow.com",)
    currency = "USD"
