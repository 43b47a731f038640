"""Ordering codes, and ending them."""

from datetime import UTC, datetime
from typing import Any, cast

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from billing.forms.amounts import AmountField, AmountFormMixin, UnitField
from billing.forms.once import OnceForm
from billing.services.accounts import InvalidAmountError
from oneapi_admin.lib.errors import DomainError
from redemption.services.batches import (
    MAX_CODES,
    MAX_USES,
    BatchTerms,
    BatchTooLargeError,
    InvalidUsesError,
    InvalidValidityError,
    KeyReusedError,
)

_FIELD_OF: dict[type[DomainError], str] = {
    InvalidAmountError: "amount",
    BatchTooLargeError: "count",
    InvalidUsesError: "uses_per_user",
    InvalidValidityError: "valid_until",
}


_YEARS = [
    MinValueValidator(datetime(1970, 1, 2, tzinfo=UTC)),
    MaxValueValidator(datetime(2999, 12, 31, tzinfo=UTC)),
]
"""Times that all time zones and both databases can do something with."""


def _time_field(label: Any, help_text: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(
        label=label, help_text=help_text, required=False, widget=widget, validators=_YEARS
    )


class BatchForm(OnceForm, AmountFormMixin):
    """
    :param groups: those that there are
    """

    name = forms.CharField(
        label=_("Name"), max_length=64, help_text=_("For you: where the codes go, or what for.")
    )
    amount = AmountField(label=_("Amount of each code"))
    unit = UnitField()
    count = forms.IntegerField(label=_("Number of codes"), initial=10, min_value=1, max_value=MAX_CODES)
    tag = forms.CharField(
        label=_("Tag"),
        max_length=32,
        required=False,
        help_text=_("Batches with the same tag are found together."),
        widget=forms.TextInput(attrs={"list": "tags", "autocomplete": "off"}),
    )
    note = forms.CharField(label=_("Internal note"), max_length=255, required=False)
    valid_from = _time_field(_("Valid from"), _("Empty: at once. Time zone: %s"))
    valid_until = _time_field(_("Valid until"), _("Empty: without an end. Time zone: %s"))
    uses_per_code = forms.IntegerField(
        label=_("Uses of each code"),
        initial=1,
        min_value=1,
        max_value=MAX_USES,
        help_text=_("More than 1 makes gift codes that many people share."),
    )
    uses_per_user = forms.IntegerField(
        label=_("Uses by one person"),
        initial=1,
        min_value=1,
        max_value=MAX_USES,
        help_text=_("How often one person may redeem the same code."),
    )
    is_once_per_user = forms.BooleanField(
        label=_("One code of this batch for each person"),
        required=False,
        help_text=_("Who has redeemed one code cannot redeem another of the same batch."),
    )
    group = forms.ChoiceField(label=_("Who may redeem them"), required=False)

    def __init__(self, *args: Any, groups: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", _("Everybody")), *((group, _("Only group %s") % group) for group in groups)]
        cast("forms.ChoiceField", self.fields["group"]).choices = choices
        for name in ("valid_from", "valid_until"):
            self.fields[name].help_text %= timezone.get_current_timezone_name()

    @property
    def has_terms(self) -> bool:
        """Whether any of the terms that mostly stay as they are is not."""
        names = ("valid_from", "valid_until", "uses_per_code", "uses_per_user", "is_once_per_user", "group")
        return self.is_bound and any(name in self.changed_data or name in self.errors for name in names)

    def terms(self) -> BatchTerms:
        """What was entered; the form has to be valid."""
        data = {name: value for name, value in self.cleaned_data.items() if name not in _NO_TERMS}
        return BatchTerms(**data)

    def refuse(self, error: DomainError | ValidationError) -> None:
        """Show where it belongs why codes cannot be made on these terms."""
        if isinstance(error, ValidationError):
            for name, errors in error.message_dict.items():
                self.add_error(name if name in self.fields and name != NON_FIELD_ERRORS else None, errors)
            return
        self.add_error(_FIELD_OF.get(type(error)), error.full_text)
        if isinstance(error, KeyReusedError):
            self.renew_key()


_NO_TERMS = frozenset({"key", "amount", "unit"})


class RevokeForm(forms.Form):
    is_sure = forms.BooleanField(
        label=_("Yes, end these codes for good"),
        error_messages={"required": _("Tick this to say that you are sure.")},
    )
