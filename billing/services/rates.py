"""Exchange rates: operators' versions, which are never changed."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import AuditAction, User
from accounts.services import audit
from billing.models import ExchangeRate
from billing.queries.prices import plain
from billing.queries.rates import version_on

LEAST, MOST = Decimal("0.0001"), Decimal(10_000_000)
"""``MOST`` is not included. All currencies are well within."""
FIRST_DAY = date(2000, 1, 1)
AHEAD = timedelta(days=366)


def set_rate(*, actor: User, currency: str, per_usd: Decimal, valid_from: date, at: datetime) -> ExchangeRate:
    """Say what a currency is worth from a UTC day on, until the next day for which it was said.

    What was compared before stays as it is. Setting what holds from that day already changes nothing.

    :param currency: its three capital letters
    :param per_usd: units of the currency for one US dollar
    :raises ValidationError: if one of them is not valid, with the reason by name
    """
    rate = ExchangeRate(
        currency=currency, per_usd=per_usd, valid_from=valid_from, created_by=actor, created_at=at
    )
    rate.clean_fields()
    _check_bounds(rate, at)
    with transaction.atomic():
        previous = version_on(currency, valid_from)
        before = _audited(previous) if previous else {}
        changes = audit.differences(before, _audited(rate))
        if previous is not None and not changes:
            return previous
        rate.save(force_insert=True)
        audit.record(
            action=AuditAction.EXCHANGE_RATE_SET, actor=actor, subject=rate, name=currency, changes=changes
        )
    return rate


def _audited(rate: ExchangeRate) -> dict[str, object]:
    return {"per_usd": rate.per_usd, "valid_from": rate.valid_from.isoformat()}


def _check_bounds(rate: ExchangeRate, at: datetime) -> None:
    problems = {}
    if rate.currency == "USD":
        problems["currency"] = _("One US dollar is always one US dollar.")
    if not LEAST <= rate.per_usd < MOST:
        problems["per_usd"] = _("Enter a number from %(least)s to less than %(most)s.") % {
            "least": plain(LEAST),
            "most": f"{MOST:,}",
        }
    last_day = at.date() + AHEAD
    if not FIRST_DAY <= rate.valid_from <= last_day:
        problems["valid_from"] = _("Enter a day from %(first)s to %(last)s.") % {
            "first": FIRST_DAY,
            "last": last_day,
        }
    if problems:
        raise ValidationError(problems)
