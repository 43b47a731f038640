"""Amounts as people type them: dollars, or quota units."""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from oneapi_admin.lib.quota import MAX_QUOTA, QUOTA_PER_USD, format_usd, from_usd

_NUMBER = re.compile(r"(\d+|\d{1,3}(,\d{3})+)(\.\d+)?", re.ASCII)
_MAX_LENGTH = 40


class Unit(models.TextChoices):
    USD = "usd", _("US dollars")
    QUOTA = "quota", _("quota units")


def read_number(text: str) -> Decimal:
    """A plain number; a dollar sign, spaces and commas between thousands do not matter.

    :raises ValidationError: if it is none, or negative
    """
    text = re.sub(r"[\s$]", "", text)
    if text[:1] in ("-", "−"):
        raise ValidationError(_("Enter an amount of more than 0."), code="negative")
    if len(text) > _MAX_LENGTH or not _NUMBER.fullmatch(text):
        raise ValidationError(_("Enter a number such as 5 or 12.50."), code="invalid")
    return Decimal(text.replace(",", ""))


def to_quota(number: Decimal, unit: str) -> int:
    """Quota units of a number in a unit.

    :raises ValidationError: if it is finer than one unit, or outside 1 … 2^53 − 1 units
    """
    largest = {"max": format_usd(MAX_QUOTA), "units": f"{MAX_QUOTA:,}"}
    if number > MAX_QUOTA:
        raise ValidationError(_("The largest amount is %(max)s (%(units)s quota units)."), params=largest)
    try:
        quota = from_usd(number if unit == Unit.USD else number / QUOTA_PER_USD)
    except ValueError as exc:
        raise ValidationError(
            _("This is finer than one quota unit, which is $0.000002."), code="too_fine"
        ) from exc
    if quota == 0:
        raise ValidationError(_("Enter an amount of more than 0."), code="zero")
    if quota > MAX_QUOTA:
        raise ValidationError(_("The largest amount is %(max)s (%(units)s quota units)."), params=largest)
    return quota


class AmountField(forms.CharField):
    """A number as typed; the form that has it decides the unit."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"inputmode": "decimal", "autocomplete": "off"}
        super().__init__(**{"label": _("Amount"), "widget": forms.TextInput(attrs=attrs), **kwargs})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return read_number(text) if text else None

    def run_validators(self, value: Any) -> None:
        """Nothing further: what a number may be is checked with its unit."""


class UnitField(forms.ChoiceField):
    """Stands beside an amount, without a label that is seen."""

    def __init__(self, **kwargs: Any) -> None:
        label = _("Unit of the amount")
        widget = forms.Select(attrs={"aria-label": label, "class": "w-auto flex-grow-0"})
        super().__init__(
            **{"label": label, "choices": Unit.choices, "initial": Unit.USD, "widget": widget, **kwargs}
        )


class AmountFormMixin(forms.Form):
    """``amount`` and ``unit``, cleaned to ``quota`` in quota units.

    It is None without an amount, and for 0 where the amount is optional.
    """

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        data["quota"] = None
        amount = data.get("amount")
        if amount or (amount is not None and self.fields["amount"].required):
            try:
                data["quota"] = to_quota(amount, data.get("unit") or Unit.USD)
            except ValidationError as exc:
                self.add_error("amount", exc)
        return data
