"""ZenMux: the balance, told to a management key only.

https://docs.zenmux.ai/api/platform/payg-balance.html: ``GET /api/v1/management/payg/balance``; it answers 422
when it is asked too often.
"""

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import amount, check_success, currency, main_amount, mapping
from billing.upstream.balances.reading import Account, Reading, ReadingKind

HOST = "zenmux.ai"


class ZenMux(Adapter):
    code = "zenmux"
    title = "ZenMux"
    source = "https://docs.zenmux.ai/api/platform/payg-balance.html"
    hosts = (HOST,)
    admin_hosts = (HOST,)
    fields = (
        CredentialField(
            name="management_key",
            label=_("Management key"),
            hint=_("Made in the settings of the console; it cannot serve calls."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        url = f"https://{HOST}/api/v1/management/payg/balance"
        answer = ask.get(url, headers=bearer(account.admin["management_key"]), busy=(422,))
        check_success(answer, "success", means=True)
        data = mapping(answer, "data")
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency=currency(data, "currency"),
                remaining=main_amount(data, "total_credits"),
                granted=amount(data, "bonus_credits"),
                topped_up=amount(data, "top_up_credits"),
            )
        ]
