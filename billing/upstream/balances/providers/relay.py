"""One API and New API, the relays that most resellers run: by token, by account, and New API's token usage.

https://github.com/songquanpeng/one-api/blob/main/controller/billing.go: ``GET
{base}/v1/dashboard/billing/subscription`` is what is left plus what was used, ``…/usage`` what was used, in
cents; both in what the site shows. https://docs.newapi.pro: ``/api/user/self`` and ``/api/usage/token`` count
points. ``/api/status``, which needs no key, tells what the site shows and how many points are a dollar.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.adapter import Adapter, CredentialField
from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.errors import BalanceRefusedError
from billing.upstream.balances.parsing import (
    amount,
    check_success,
    difference,
    flag,
    main_amount,
    mapping,
    odd,
    refusal,
    text,
    unix_time,
)
from billing.upstream.balances.reading import Account, Reading, ReadingKind

UNLIMITED = Decimal(100_000_000)
"""What a site reports as the limit of a token that has none, whatever it shows amounts in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a site shows amounts in."""

    points_per_usd: Decimal = Decimal(500_000)
    display: str = "USD"
    """USD, CNY, TOKENS (points) or CUSTOM (a unit of its own)."""
    cny_per_usd: Decimal | None = None

    @property
    def currency(self) -> str:
        """Points become yuan where the site shows yuan and tells its rate, else dollars."""
        return "CNY" if self.display == "CNY" and self.cny_per_usd else "USD"

    def money(self, points: Decimal | None) -> Decimal | None:
        """Points in :attr:`currency`."""
        if points is None:
            return None
        usd = points / self.points_per_usd
        return usd * self.cny_per_usd if self.display == "CNY" and self.cny_per_usd else usd


class OneApiToken(Adapter):
    code = "one_api_token"
    title: str | Promise = _("One API or New API, by the channel's key")
    source = "https://github.com/songquanpeng/one-api/blob/main/controller/billing.go"
    note: str | Promise = _(
        "What the key may still spend there. Some sites tell of the account behind it instead."
    )
    kind = ReadingKind.KEY_BUDGET

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        site = self._site(account, ask)
        if site.display == "CUSTOM":
            raise refusal(
                _("The site shows amounts in a unit of its own: read New API's token usage instead.")
            )
        billing, headers = f"{account.base_url}/v1/dashboard/billing", bearer(account.key)
        subscription = ask.get(f"{billing}/subscription", headers=headers)
        if subscription.get("object") != "billing_subscription":
            raise odd("object")
        limit = main_amount(subscription, "hard_limit_usd")
        used = main_amount(ask.get(f"{billing}/usage", headers=headers), "total_usage", unit=100)
        is_unlimited = False
        if site.display == "TOKENS":
            # So many points are 200 dollars as well as no limit: then nothing is known of the limit.
            limit, used = None if limit == UNLIMITED else site.money(limit), site.money(used)
        elif limit is not None and limit >= UNLIMITED:
            limit, is_unlimited = None, True
        return [
            Reading(
                kind=self.kind,
                currency="CNY" if site.display == "CNY" else "USD",
                remaining=difference(limit, used),
                limit=limit,
                used=used,
                period="all",
                expires_at=unix_time(subscription, "access_until"),
                is_unlimited=is_unlimited,
            )
        ]

    def _site(self, account: Account, ask: Ask) -> Site:
        return read_site(account, ask)


class OneApiAccount(Adapter):
    code = "one_api_account"
    title = _("One API or New API, by account")
    source = "https://docs.newapi.pro/en/docs/api"
    fields = (
        CredentialField(
            name="access_token",
            label=_("System access token"),
            hint=_("Made in the personal settings of the site; not a token that serves calls."),
        ),
        CredentialField(
            name="user_id",
            label=_("User ID"),
            is_secret=False,
            is_required=False,
            hint=_("A New API site wants it; a One API site does not."),
        ),
    )

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        headers = {"authorization": account.admin["access_token"]}
        if user_id := account.admin.get("user_id"):
            headers["new-api-user"] = user_id
        site = read_site(account, ask)
        answer = ask.get(f"{account.base_url}/api/user/self", headers=headers)
        check_success(answer, "success", means=True)
        data = mapping(answer, "data")
        return [
            Reading(
                kind=ReadingKind.BALANCE,
                currency=site.currency,
                remaining=site.money(main_amount(data, "quota")),
                used=site.money(amount(data, "used_quota")),
                period="all",
            )
        ]


class NewApiToken(Adapter):
    code = "new_api_token"
    title = _("New API, by the channel's key (token usage)")
    source = "https://github.com/QuantumNous/new-api-docs/blob/main/docs/en/api/token-usage.md"
    note = _("What the key may still spend there; the account behind it may hold less.")

    def _read(self, account: Account, ask: Ask) -> list[Reading]:
        site = read_site(account, ask)
        # The page leaves the last slash out, and the server redirects to the address that has it.
        answer = ask.get(f"{account.base_url}/api/usage/token/", headers=bearer(account.key))
        check_success(answer, "code", means=True)
        data = mapping(answer, "data")
        is_unlimited = flag(data, "unlimited_quota") or False
        return [
            Reading(
                kind=ReadingKind.KEY_BUDGET,
                currency=site.currency,
                remaining=None if is_unlimited else site.money(main_amount(data, "total_available")),
                limit=None if is_unlimited else site.money(amount(data, "total_granted")),
                used=site.money(amount(data, "total_used")),
                period="all",
                expires_at=unix_time(data, "expires_at"),
                is_unlimited=is_unlimited,
            )
        ]


def read_site(account: Account, ask: Ask) -> Site:
    """Ask a site what it shows, without any key; one that does not tell is as One API is when new."""
    try:
        answer = ask.get(f"{account.base_url}/api/status")
    except BalanceRefusedError:
        return Site()
    data = answer.get("data")
    if not isinstance(data, dict):
        return Site()
    display = text(data, "quota_display_type").upper()
    if not display:
        display = "TOKENS" if flag(data, "display_in_currency") is False else "USD"
    if display not in ("USD", "CNY", "TOKENS", "CUSTOM"):
        raise odd("quota_display_type")
    return Site(
        points_per_usd=_positive(data, "quota_per_unit") or Site().points_per_usd,
        display=display,
        cny_per_usd=_positive(data, "usd_exchange_rate"),
    )


def _positive(data: dict[str, Any], name: str) -> Decimal | None:
    value = amount(data, name)
    return value if value is not None and value > 0 else None
