"""OpenAI: costs of the month and the spend limit, told to an admin key only; what is left is not told.

https://platform.openai.com/docs/api-reference/usage/costs: ``GET /v1/organization/costs``, in pages of daily
buckets, amounts in dollars. https://platform.openai.com/docs/api-reference/admin: ``GET
/v1/organization/spend_limit`` and ``…/projects/{id}/spend_limit``, in cents; 404 where none is set.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.errors import BalanceRefusedError
from billing.upstream.balances.month import month_start, next_month
from billing.upstream.balances.pages import pages
from billing.upstream.balances.parsing import (
    certain_amount,
    currency,
    difference,
    mapping,
    mappings,
    sums,
)
from billing.upstream.balances.reading import Account, Reading, ReadingKind

HOST = "api.openai.com"
_ORGANIZATION = f"https://{HOST}/v1/organization"
_NO_LIMIT = (403, 404)
"""Not told to a key without the scope for it, and none set: costs may be told all the same."""


class OpenAICosts(Adapter):
    code = "openai_costs"
    title = "OpenAI"
    source = "https://platform.openai.com/docs/api-reference/usage/costs"
    note = _("What the month cost so far, some minutes late. What is left is told only where a limit is set.")
    hosts = (HOST,)
    admin_hosts = (HOST,)
    fields = (
        CredentialField(
            name="admin_key",
            label=_("Admin key"),
            hint=_("Begins with sk-admin-. Make it in the organization's settings; it cannot serve calls."),
        ),
        CredentialField(
            name="project_id",
            label=_("Project"),
            is_secret=False,
            is_required=False,
            hint=_("Such as proj_…, if only one project's costs count. Empty is the whole organization."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        headers, project = bearer(account.admin["admin_key"]), account.admin.get("project_id", "")
        limit = _spend_limit(ask, headers, project)
        query = [("start_time", str(int(month_start(ask.now).timestamp()))), ("bucket_width", "1d")]
        query += [("limit", "31"), *([("project_ids[]", project)] if project else [])]
        url = f"{_ORGANIZATION}/costs?{urlencode(query)}"
        spent = sums(cost for page in pages(ask, url, headers) for cost in _costs(page))
        if limit is not None or not spent:
            spent.setdefault("USD", Decimal(0))
        return [
            Reading(
                kind=ReadingKind.SPEND,
                currency=code,
                used=used,
                limit=limit if code == "USD" else None,
                remaining=difference(limit, used) if code == "USD" else None,
                period="month",
                resets_at=next_month(ask.now),
            )
            for code, used in spent.items()
        ]


def _costs(page: dict[str, Any]) -> Iterator[tuple[str, Decimal]]:
    for bucket in mappings(page, "data"):
        for result in mappings(bucket, "results"):
            cost = mapping(result, "amount")
            yield currency(cost, "currency"), certain_amount(cost, "value")


def _spend_limit(ask: Ask, headers: dict[str, str], project: str) -> Decimal | None:
    of_project = f"/projects/{quote(project, safe='')}" if project else ""
    try:
        data = ask.get(f"{_ORGANIZATION}{of_project}/spend_limit", headers=headers)
    except BalanceRefusedError as exc:
        if exc.status in _NO_LIMIT:
            return None
        raise
    if currency(data, "currency") != "USD" or data.get("interval") != "month":
        return None
    return certain_amount(data, "threshold_amount", unit=100)
