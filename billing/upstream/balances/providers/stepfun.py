"""StepFun: the balance in yuan, told to any key.

https://platform.stepfun.com/docs/zh/api-reference/accounts/get: ``GET /v1/accounts``. The totals of cash and
vouchers are those of all time, not what is left of them.
"""

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import main_amount
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class StepFun(Adapter):
    code = "stepfun"
    title = "StepFun"
    source = "https://platform.stepfun.com/docs/zh/api-reference/accounts/get"
    hosts = ("api.stepfun.com",)

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        data = ask.get(f"{account.origin}/v1/accounts", headers=bearer(account.key))
        return [Reading(kind=ReadingKind.BALANCE, currency="CNY", remaining=main_amount(data, "balance"))]
