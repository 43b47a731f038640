"""xAI: the prepaid balance of a team, told to a management key only.

https://docs.x.ai/developers/rest-api-reference/management/billing, https://github.com/xai-org/xai-proto:
``GET /v1/billing/teams/{team_id}/prepaid/balance``, cents as text, and what the team owns is negative. What
is spent is booked when the cycle closes: until then the number is too high.
"""

from urllib.parse import quote

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import amount, mapping
from billing.upstream.balances.reading import Account, Reading, ReadingKind

HOST = "management-api.x.ai"


class XAI(Adapter):
    code = "xai"
    title = "xAI"
    source = "https://docs.x.ai/developers/rest-api-reference/management/billing"
    note = _("Spend is booked when the cycle closes: until then it reads too high.")
    hosts = ("api.x.ai",)
    admin_hosts = (HOST,)
    fields = (
        CredentialField(
            name="management_key",
            label=_("Management key"),
            hint=_("Made in the settings of the console; it cannot serve calls."),
        ),
        CredentialField(name="team_id", label=_("Team ID"), is_secret=False),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        team = quote(account.admin["team_id"], safe="")
        url = f"https://{HOST}/v1/billing/teams/{team}/prepaid/balance"
        data = ask.get(url, headers=bearer(account.admin["management_key"]))
        owed = amount(mapping(data, "total"), "val", unit=100)
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency="USD",
                remaining=None if owed is None else -owed,
                is_weak=True,
            )
        ]
