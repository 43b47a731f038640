"""What currencies are worth, for comparing what providers take with what was metered."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated

from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja import Query, Router, Schema
from pydantic import BeforeValidator, Field

from accounts.api.auth import ApiRequest, requires
from accounts.api.idempotency import idempotent
from accounts.models import Scope
from billing.models import ExchangeRate
from billing.queries.prices import plain
from billing.services.rates import set_rate
from oneapi_admin.lib.api.fields import Body, Id, Time
from oneapi_admin.lib.api.openapi import errors
from oneapi_admin.lib.api.pages import PageOut, PageQuery, page

router = Router(tags=["exchange rates"])

_NO_USD = r"^([A-TV-Z][A-Z]{2}|U[A-RT-Z][A-Z]|US[A-CE-Z])$"
_DIGIT = "[0-9]"
_DAY = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_FROM_A_TEN_THOUSANDTH = "|".join(rf"0{{{zeros}}}[1-9]{_DIGIT}{{0,{7 - zeros}}}" for zeros in range(4))
_PER_USD = rf"^([1-9]{_DIGIT}{{0,6}}(\.{_DIGIT}{{1,8}})?|0\.({_FROM_A_TEN_THOUSANDTH}))$"

Currency = Annotated[
    str, Field(pattern=_NO_USD, examples=["CNY"], description="Three capital letters, other than USD.")
]
PerUsd = Annotated[
    str,
    Field(
        pattern=_PER_USD,
        examples=["7.1"],
        description="How many units of the currency one US dollar is, a decimal number as a string:"
        " 0.0001 at least, less than 10,000,000, up to 8 decimals.",
    ),
]


def _is_day(value: object) -> object:
    """Neither numbers of seconds nor moments, which pydantic takes for days, too."""
    if value is not None and not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError(_("Send a day such as 2026-03-02."))
    return value


Day = Annotated[
    date,
    BeforeValidator(_is_day),
    Field(strict=False, json_schema_extra={"pattern": f"^{_DAY.pattern}$"}, examples=["2026-03-02"]),
]


class ExchangeRateIn(Body):
    currency: Currency
    per_usd: PerUsd
    valid_from: Day | None = Field(
        None, description="In UTC, today by default; from 2000-01-01 to a year from now."
    )


class ExchangeRateOut(Schema):
    """What one US dollar is in a currency, from a day on; of one day's the one with the highest `id`."""

    id: Id
    currency: str = Field(examples=["CNY"])
    per_usd: str = Field(
        description="Units of the currency for one US dollar; a decimal number as a string.", examples=["7.1"]
    )
    valid_from: date = Field(description="In UTC.")
    created_at: Time

    @classmethod
    def of(cls, rate: ExchangeRate) -> "ExchangeRateOut":
        return cls(
            id=rate.pk,
            currency=rate.currency,
            per_usd=plain(rate.per_usd),
            valid_from=rate.valid_from,
            created_at=rate.created_at,
        )


class ExchangeRateListQuery(PageQuery):
    currency: str | None = Field(None, pattern="^[A-Z]{3}$", description="Of this currency only.")


@router.get("", response=PageOut[ExchangeRateOut], operation_id="listExchangeRates")
@requires(Scope.CHANNELS, is_read=True, is_for_operators=True)
def list_rates(request: ApiRequest, page_query: Query[ExchangeRateListQuery]) -> object:  # noqa: ARG001
    """All versions of all rates, the newest first. They are added to and never changed."""
    found = ExchangeRate.objects.all()
    if page_query.currency is not None:
        found = found.filter(currency=page_query.currency)
    return page(found, page_query, ExchangeRateOut.of)


@router.post("", response={201: ExchangeRateOut, **errors(409)}, operation_id="setExchangeRate")
@requires(Scope.CHANNELS, is_for_operators=True)
@idempotent(201)
def create_rate(request: ApiRequest, data: ExchangeRateIn) -> ExchangeRateOut:
    """Say what a currency is worth from a day on. Saying again what holds from that day changes nothing."""
    at = timezone.now()
    rate = set_rate(
        actor=request.auth.user,
        currency=data.currency,
        per_usd=Decimal(data.per_usd),
        valid_from=data.valid_from or at.date(),
        at=at,
    )
    return ExchangeRateOut.of(rate)
