"""OpenAI's old dashboard: subscription and usage, for whatever still speaks it.

Never documented; OpenAI itself has refused API keys here since 2023. Seen in
https://github.com/songquanpeng/one-api/blob/main/controller/channel-billing.go: ``GET
/v1/dashboard/billing/subscription``, dollars a month, and ``…/usage?start_date&end_date``, cents.
"""

from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.month import month_start, next_month, tomorrow
from billing.upstream.balances.parsing import difference, main_amount, odd, unix_time
from billing.upstream.balances.reading import Account, Reading, ReadingKind


class OpenAIDashboard(Adapter):
    code = "openai_dashboard"
    title = _("OpenAI's old dashboard form")
    source = "https://github.com/songquanpeng/one-api/blob/main/controller/channel-billing.go"
    note = _("For services that copied it. OpenAI itself refuses API keys here.")

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        billing, headers = f"{account.base_url}/v1/dashboard/billing", bearer(account.key)
        subscription = ask.get(f"{billing}/subscription", headers=headers)
        if subscription.get("object") != "billing_subscription":
            raise odd("object")
        dates = {
            "start_date": f"{month_start(ask.now):%Y-%m-%d}",
            "end_date": f"{tomorrow(ask.now):%Y-%m-%d}",
        }
        usage = ask.get(f"{billing}/usage?{urlencode(dates)}", headers=headers)
        limit, used = main_amount(subscription, "hard_limit_usd"), main_amount(usage, "total_usage", unit=100)
        return [
            Reading(
                kind=ReadingKind.SPEND,
                currency="USD",
                remaining=difference(limit, used),
                limit=limit,
                used=used,
                period="month",
                resets_at=next_month(ask.now),
                expires_at=unix_time(subscription, "access_until"),
            )
        ]
