"""Forms of the reconciliation's pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from oneapi_admin.lib.days import end_of, midnight


class BalanceForm(forms.Form):
    remaining = forms.DecimalField(
        label=_("What is left"),
        min_value=-100_000_000,
        max_value=100_000_000,
        max_digits=15,
        decimal_places=6,
        help_text=_("As the provider's console says now; what calls cost from now on is taken off."),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    currency = forms.RegexField(
        label=_("Currency"),
        regex=r"\A[A-Za-z]{3}\Z",
        initial="USD",
        max_length=3,
        error_messages={"invalid": _("Enter a currency by its three letters, CNY for example.")},
    )

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()


class IntervalFilterForm(forms.Form):
    """How intervals are narrowed; days are those of the viewer, both ends included."""

    status = forms.CharField(required=False, max_length=16)
    since = forms.DateField(required=False)
    until = forms.DateField(required=False)

    def conditions(self) -> dict[str, Any]:
        """Arguments for ``billing.queries.reconciliations``; what is no date narrows nothing."""
        self.is_valid()
        data = self.cleaned_data
        since, until = data.get("since"), data.get("until")
        return {
            "status": data.get("status", ""),
            "since": None if since is None else midnight(since),
            "until": None if until is None else end_of(until),
        }
