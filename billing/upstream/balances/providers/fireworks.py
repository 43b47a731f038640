"""Fireworks: what the month cost, told to any key with access to the account; what is left is not told.

https://docs.fireworks.ai/api-reference/get-billing-summary: ``GET
/v1/accounts/{id}/billing/summary?startTime&endTime``, by days, the last one left out; amounts are units and
billionths, and either is left out where it is zero.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.month import month_start, next_month, tomorrow
from billing.upstream.balances.parsing import amount, currency, mapping, mappings, refusal, sums, text
from billing.upstream.balances.reading import Account, Reading, ReadingKind

_BILLION = 1_000_000_000


class Fireworks(Adapter):
    code = "fireworks"
    title = "Fireworks AI"
    source = "https://docs.fireworks.ai/api-reference/get-billing-summary"
    note = _("What the month cost so far. What is left is not told.")
    hosts = ("api.fireworks.ai",)
    fields = (
        CredentialField(
            name="account_id",
            label=_("Account ID"),
            is_secret=False,
            is_required=False,
            hint=_("Only if the key sees more than one."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        accounts, headers = f"{account.origin}/v1/accounts", bearer(account.key)
        name = account.admin.get("account_id") or _only_account(ask.get(accounts, headers=headers))
        days = {"startTime": month_start(ask.now), "endTime": tomorrow(ask.now)}
        query = urlencode({field: f"{day:%Y-%m-%dT%H:%M:%SZ}" for field, day in days.items()})
        summary = ask.get(f"{accounts}/{quote(name, safe='')}/billing/summary?{query}", headers=headers)
        return [
            Reading(
                kind=ReadingKind.SPEND,
                currency=code,
                used=used,
                period="month",
                resets_at=next_month(ask.now),
            )
            for code, used in (sums(_costs(summary)) or {"USD": Decimal(0)}).items()
        ]


def _only_account(answer: dict[str, Any]) -> str:
    names = [text(account, "name").removeprefix("accounts/") for account in mappings(answer, "accounts")]
    if len(names) != 1 or not names[0]:
        raise refusal(_("The key sees more than one account, or none: enter the account ID."))
    return names[0]


def _costs(summary: dict[str, Any]) -> Iterator[tuple[str, Decimal]]:
    for item in mappings(summary, "lineItems"):
        cost = mapping(item, "totalCost")
        whole, billionths = amount(cost, "units"), amount(cost, "nanos", unit=_BILLION)
        yield currency(cost, "currencyCode"), (whole or Decimal(0)) + (billionths or Decimal(0))
