"""Venice: the balance in dollars, told to an admin key; DIEM, which refills each day, is not counted.

https://docs.venice.ai/api-reference/endpoint/billing/balance: ``GET /api/v1/billing/balance``. An inference
key is refused there; a channel may have an admin key as its own.
"""

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import flag, main_amount, mapping
from billing.upstream.balances.reading import Account, Reading, ReadingKind

HOST = "api.venice.ai"


class Venice(Adapter):
    code = "venice"
    title = "Venice"
    source = "https://docs.venice.ai/api-reference/endpoint/billing/balance"
    note = _("Dollars only; DIEM and bundled credits are not counted.")
    hosts = (HOST,)
    admin_hosts = (HOST,)
    fields = (
        CredentialField(
            name="admin_key",
            label=_("Admin key"),
            is_required=False,
            hint=_("Needed unless the channel's key is one of the kind ADMIN."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        admin_key = account.admin.get("admin_key")
        origin, key = (f"https://{HOST}", admin_key) if admin_key else (account.origin, account.key)
        data = ask.get(f"{origin}/api/v1/billing/balance", headers=bearer(key))
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency="USD",
                remaining=main_amount(mapping(data, "balances"), "usd"),
                is_usable=flag(data, "canConsume"),
            )
        ]
