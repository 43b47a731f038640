"""The form of exchange rates; what a rate may be is checked by the service."""

from django import forms
from django.utils.translation import gettext_lazy as _


class ExchangeRateForm(forms.Form):
    currency = forms.CharField(
        label=_("Currency"),
        max_length=3,
        help_text=_("Its three letters, CNY for example."),
        widget=forms.TextInput(attrs={"autocapitalize": "characters", "autocomplete": "off"}),
    )
    per_usd = forms.DecimalField(
        label=_("For one US dollar"),
        max_digits=18,
        decimal_places=8,
        help_text=_("How many units of the currency one US dollar is: about 7 for CNY, less than 1 for EUR."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    valid_from = forms.DateField(
        label=_("Valid from"),
        help_text=_("A day in UTC. It holds until the next day for which you set another rate."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def clean_currency(self) -> str:
        currency: str = self.cleaned_data["currency"]
        return currency.upper()
