"""Anthropic: what the month cost, told to an admin key only; what is left is not told.

https://docs.claude.com/en/api/admin-api/usage-cost/get-cost-report: ``GET /v1/organizations/cost_report``, in
pages of daily buckets, amounts as text in cents. Priority Tier is not in it.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.month import month_start, next_month
from billing.upstream.balances.pages import pages
from billing.upstream.balances.parsing import certain_amount, currency, mappings, sums
from billing.upstream.balances.reading import Account, Reading, ReadingKind

HOST = "api.anthropic.com"


class AnthropicCosts(Adapter):
    code = "anthropic_costs"
    title = "Anthropic"
    source = "https://docs.claude.com/en/api/admin-api/usage-cost/get-cost-report"
    note = _("What the month cost the organization so far. What is left is not told.")
    hosts = (HOST,)
    admin_hosts = (HOST,)
    fields = (
        CredentialField(
            name="admin_key",
            label=_("Admin key"),
            hint=_("Begins with sk-ant-admin. Individual accounts have none."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        headers = {"x-api-key": account.admin["admin_key"], "anthropic-version": "2023-06-01"}
        query = {
            "starting_at": f"{month_start(ask.now):%Y-%m-%dT%H:%M:%SZ}",
            "bucket_width": "1d",
            "limit": "31",
        }
        url = f"https://{HOST}/v1/organizations/cost_report?{urlencode(query)}"
        spent = sums(cost for page in pages(ask, url, headers) for cost in _costs(page))
        return [
            Reading(
                kind=ReadingKind.SPEND,
                currency=code,
                used=used,
                period="month",
                resets_at=next_month(ask.now),
            )
            for code, used in (spent or {"USD": Decimal(0)}).items()
        ]


def _costs(page: dict[str, Any]) -> Iterator[tuple[str, Decimal]]:
    for bucket in mappings(page, "data"):
        for result in mappings(bucket, "results"):
            yield currency(result, "currency"), certain_amount(result, "amount", unit=100)
