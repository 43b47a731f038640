"""Forms of the price book."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.validators import validate_group


class _UsdField(forms.DecimalField):
    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        options = {"min_value": Decimal(0), "max_digits": 12, "decimal_places": 6, "required": False}
        super().__init__(**{**options, "widget": widget, **kwargs})


class ModelPriceForm(forms.Form):
    """Input and output, or per request; the cached input and the longest answer are optional."""

    model = forms.CharField(label=_("Model"), max_length=128)
    input_price = _UsdField(label=_("Input"))
    cached_input_price = _UsdField(label=_("Cached input"), help_text=_("Empty: as much as input."))
    output_price = _UsdField(label=_("Output"))
    request_price = _UsdField(
        label=_("Per request"), help_text=_("Instead of prices per token, for example for images.")
    )
    max_output_tokens = forms.IntegerField(
        label=_("Longest answer"),
        required=False,
        min_value=1,
        max_value=10_000_000,
        help_text=_(
            "What a call may cost at most is reserved for this many tokens, unless the caller asks for fewer."
        ),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.errors:
            return data
        per_token = [data[name] for name in ("input_price", "cached_input_price", "output_price")]
        has_token_price = any(price is not None for price in per_token)
        if data["request_price"] is not None and has_token_price:
            raise forms.ValidationError(_("Give prices per token or a price per request, not both."))
        if data["request_price"] is None and not has_token_price:
            raise forms.ValidationError(
                _("Give the prices of input and output, or a price per request. 0 is free.")
            )
        for name in ("input_price", "output_price"):
            if has_token_price and data[name] is None:
                self.add_error(name, _("Give both input and output; 0 is free."))
        return data


class GroupPriceForm(forms.Form):
    group = forms.CharField(label=_("Group"), max_length=32, validators=[validate_group])
    multiplier = _UsdField(
        label=_("Multiplier"),
        required=True,
        help_text=_("What its members pay as a multiple of every price: 0.8 takes a fifth off, 0 is free."),
    )
