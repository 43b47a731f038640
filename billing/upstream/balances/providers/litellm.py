"""LiteLLM proxy: the budget of a virtual key, told to the key itself.

https://docs.litellm.ai/docs/proxy/virtual_keys: ``GET {base}/key/info``, dollars; a null budget is none.
"""

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import difference, iso_time, main_amount, mapping, text
from billing.upstream.balances.reading import Account, Period, Reading, ReadingKind

_PERIODS: dict[str, Period] = {
    "": "all",
    "1d": "day",
    "24h": "day",
    "7d": "week",
    "30d": "month",
    "1mo": "month",
}


class LiteLLM(Adapter):
    code = "litellm"
    title = "LiteLLM"
    source = "https://docs.litellm.ai/docs/proxy/virtual_keys"
    note = _("What the key may still spend; the proxy's own providers are not asked.")

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        data = ask.get(f"{account.base_url}/key/info", headers=bearer(account.key))
        info = mapping(data, "info")
        limit, used = main_amount(info, "max_budget"), main_amount(info, "spend")
        return [
            Reading(
                kind=ReadingKind.KEY_BUDGET,
                currency="USD",
                remaining=difference(limit, used),
                limit=limit,
                used=used,
                period=_PERIODS.get(text(info, "budget_duration"), ""),
                resets_at=iso_time(info, "budget_reset_at"),
                expires_at=iso_time(info, "expires"),
                is_unlimited=limit is None,
            )
        ]
