"""Credit grants, the form of OpenAI's old dashboard that several resellers copied.

Never documented. Seen in https://github.com/songquanpeng/one-api/blob/main/controller/channel-billing.go
(AIGC2D, CloseAI: ``total_available``; API2GPT: ``total_remaining``): ``GET
{base}/dashboard/billing/credit_grants``, dollars.
"""

from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import amount, main_amount, mapping, mappings, unix_time
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class CreditGrants(Adapter):
    code = "credit_grants"
    title = _("Credit grants, OpenAI's old form")
    source = "https://github.com/songquanpeng/one-api/blob/main/controller/channel-billing.go"
    note = _("For services that copied it. OpenAI itself refuses API keys here.")
    hosts = ("api.api2gpt.com", "api.aigc2d.com")

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        url = f"{account.base_url}/dashboard/billing/credit_grants"
        data = ask.get(url, headers=bearer(account.key))
        name = "total_remaining" if "total_remaining" in data else "total_available"
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency="USD",
                remaining=main_amount(data, name),
                limit=amount(data, "total_granted"),
                used=amount(data, "total_used"),
                period="all",
                expires_at=_first_end(data, ask.now),
            )
        ]


def _first_end(data: dict[str, Any], now: datetime) -> datetime | None:
    """When the first of the grants ends that are still good."""
    if data.get("grants") is None:
        return None
    ends = (unix_time(grant, "expires_at") for grant in mappings(mapping(data, "grants"), "data"))
    return min((end for end in ends if end is not None and end > now), default=None)
