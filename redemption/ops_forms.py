"""Forms of the codes' pages."""

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.forms.amounts import AmountField, AmountFormMixin, UnitField
from redemption.services import MAX_BATCH


class BatchForm(AmountFormMixin):
    name = forms.CharField(
        label=_("Name"), max_length=64, help_text=_("For you: where the codes go, or what for.")
    )
    amount = AmountField(label=_("Amount of each code"))
    unit = UnitField()
    count = forms.IntegerField(label=_("Number of codes"), initial=10, min_value=1, max_value=MAX_BATCH)
