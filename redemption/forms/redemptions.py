"""Finding redemptions."""

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from oneapi_admin.lib.days import end_of, midnight

_YEARS = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2999, 12, 31))]
"""Days that all time zones and both databases can do something with."""


class RedemptionFilterForm(forms.Form):
    """What the list of redemptions is narrowed to; days are whole ones, in the site's time zone."""

    user = forms.CharField(label=_("User name or number"), max_length=64, required=False)
    batch = forms.IntegerField(label=_("Batch"), min_value=1, max_value=2**63 - 1, required=False)
    since = forms.DateField(label=_("From"), required=False, validators=_YEARS)
    until = forms.DateField(label=_("To"), required=False, validators=_YEARS)

    @property
    def filters(self) -> dict[str, Any]:
        """As ``redemption.queries.redemptions`` takes them; the form has to be valid."""
        data = self.cleaned_data
        since, until = data["since"], data["until"]
        return {
            "redeemer": data["user"],
            "batch_id": data["batch"],
            "since": since and midnight(since),
            "until": until and end_of(until),
        }
