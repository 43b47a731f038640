"""OpenRouter: the budget of the key, and the account's credits where a management key is given.

https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key: ``GET /api/v1/key``, a null limit is no
cap on the key. https://openrouter.ai/docs/api/api-reference/credits/get-credits: ``GET /api/v1/credits``, for
management keys only, up to a minute late. Dollars.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.parsing import (
    amount,
    difference,
    iso_time,
    main_amount,
    mapping,
    odd,
    text,
)
from billing.upstream.balances.reading import Account, Period, Reading, ReadingKind

HOST = "openrouter.ai"
_PERIODS: dict[str, tuple[Period, str]] = {
    "": ("all", "usage"),
    "daily": ("day", "usage_daily"),
    "weekly": ("week", "usage_weekly"),
    "monthly": ("month", "usage_monthly"),
}
"""By how often the limit begins again: the period, and the field of what was used in it."""


class OpenRouter(Adapter):
    code = "openrouter"
    title = "OpenRouter"
    source = "https://openrouter.ai/docs/api/api-reference/api-keys/get-current-key"
    note = _("The key's own budget. The account's credits are told to a management key only.")
    hosts = (HOST,)
    admin_hosts = (HOST,)
    fields = (
        CredentialField(
            name="management_key",
            label=_("Management key"),
            is_required=False,
            hint=_("Reads the credits of the account; it cannot serve calls."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        key = ask.get(f"{account.origin}/api/v1/key", headers=bearer(account.key))
        readings = [_budget(mapping(key, "data"))]
        if management_key := account.admin.get("management_key"):
            credits_ = ask.get(f"https://{HOST}/api/v1/credits", headers=bearer(management_key))
            readings.append(_credits(mapping(credits_, "data")))
        return readings


def _budget(data: dict[str, Any]) -> Reading:
    limit, reset = main_amount(data, "limit"), text(data, "limit_reset")
    if reset not in _PERIODS:
        raise odd("limit_reset")
    period, used = _PERIODS[reset]
    return Reading(
        kind=ReadingKind.KEY_BUDGET,
        currency="USD",
        remaining=amount(data, "limit_remaining"),
        limit=limit,
        used=amount(data, used),
        period=period,
        expires_at=iso_time(data, "expires_at"),
        is_unlimited=limit is None,
    )


def _credits(data: dict[str, Any]) -> Reading:
    total, used = main_amount(data, "total_credits"), main_amount(data, "total_usage")
    return Reading(
        kind=ReadingKind.BALANCE,
        currency="USD",
        remaining=difference(total, used),
        limit=total,
        used=used,
        period="all",
    )
