"""Entering a code."""

import unicodedata

from django import forms
from django.utils.translation import gettext_lazy as _


class RedeemForm(forms.Form):
    """A code as people type or paste it: spaces, dashes of any kind and case do not matter."""

    code = forms.CharField(
        label=_("Code"),
        max_length=128,
        error_messages={"required": _("Enter the code that you were given.")},
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "characters",
                "spellcheck": "false",
                "class": "code-input",
                "enterkeyhint": "go",
            }
        ),
    )

    def clean_code(self) -> str:
        text = unicodedata.normalize("NFKC", self.cleaned_data["code"])
        code = "".join(sign for sign in text if sign.isalnum())
        if not code:
            raise forms.ValidationError(self.fields["code"].error_messages["required"], code="required")
        return code
