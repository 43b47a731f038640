"""The form that undoes a bulk top-up."""

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.forms.once import OnceForm


class UndoForm(OnceForm):
    allow_partial = forms.BooleanField(
        label=_("Where a part is spent, take what is left"),
        required=False,
        help_text=_("What is missing is given up: an entry is reversed once."),
    )
    memo = forms.CharField(label=_("Reason"), max_length=255, help_text=_("Shown in the statement."))
