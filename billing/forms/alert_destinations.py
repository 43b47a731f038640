"""The form of destinations; which addresses are taken is checked by the service."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class _SecretInput(forms.TextInput):
    """Seen while it is typed, and in no page that is sent afterwards."""

    def format_value(self, value: Any) -> None:
        """Show nothing of it."""


class DestinationForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        help_text=_("Such as the name of the group it leads to."),
    )
    address = forms.CharField(
        label=_("Address"),
        max_length=600,
        widget=_SecretInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        help_text=_("Whoever knows it can write there: it is kept encrypted and never shown again."),
    )
    language = forms.ChoiceField(
        label=_("Language"), choices=settings.LANGUAGES, help_text=_("Of what is sent.")
    )
