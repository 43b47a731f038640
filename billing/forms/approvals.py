"""Forms about movements that need a second operator."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.forms.amounts import AmountField, AmountFormMixin, UnitField


class ThresholdForm(AmountFormMixin):
    amount = AmountField(required=False)
    unit = UnitField()

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if data.get("amount") == 0:
            self.add_error("amount", _("Enter an amount of more than 0."))
        return data


class RejectForm(forms.Form):
    note = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=255,
        required=False,
        help_text=gettext_lazy("Told to who proposed it."),
    )
