"""Forms that correct: adjustments, reversals, refunds. Each asks why."""

from typing import Any

from django import forms
from django.db import models
from django.utils.translation import gettext_lazy as _

from billing.forms.amounts import AmountField, AmountFormMixin, UnitField
from billing.forms.once import OnceForm


def _memo() -> forms.CharField:
    return forms.CharField(label=_("Reason"), max_length=255, help_text=_("Shown in the statement."))


class Direction(models.TextChoices):
    GIVE = "give", _("Add quota")
    TAKE = "take", _("Take quota")


class AdjustForm(AmountFormMixin, OnceForm):
    direction = forms.ChoiceField(
        label=_("Direction"), choices=Direction, initial=Direction.GIVE, widget=forms.RadioSelect
    )
    amount = AmountField()
    unit = UnitField()
    memo = _memo()

    @property
    def signed_quota(self) -> int:
        """Quota units, negative to take; the form has to be valid."""
        quota: int = self.cleaned_data["quota"]
        return -quota if self.cleaned_data["direction"] == Direction.TAKE else quota


class RefundForm(AmountFormMixin, OnceForm):
    amount = AmountField()
    unit = UnitField()
    memo = _memo()


class ReverseForm(OnceForm):
    allow_partial = forms.BooleanField(
        label=_("Take back only what is left"),
        required=False,
        help_text=_("What is missing is given up: an entry is reversed once."),
    )
    memo = _memo()

    def __init__(self, *args: Any, is_short: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not is_short:
            del self.fields["allow_partial"]
