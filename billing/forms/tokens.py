"""Creating and changing a token."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.forms import ExpiryForm
from accounts.models import Token
from billing.forms.amounts import AmountField, Unit, to_quota
from oneapi_admin.lib.quota import to_usd

MAX_LINES = 200


class LimitKind(models.TextChoices):
    NONE = "none", _("No limit of its own: it may spend your whole user quota")
    AMOUNT = "amount", _("A limit of its own, beside your user quota")


class LimitField(AmountField):
    """US dollars as typed; its clean value is quota units, and 0 is a limit like any other."""

    def prepare_value(self, value: Any) -> Any:
        """Show quota units as plain dollars, and leave what the person typed as it was."""
        return f"{to_usd(value).normalize():f}" if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        try:
            number = super().clean(value)
        except ValidationError as exc:
            if exc.error_list[0].code == "negative":
                raise ValidationError(_("A limit cannot be below 0."), code="negative") from exc
            raise
        if number is None:
            return None
        return to_quota(number, Unit.USD) if number else 0


class TokenForm(ExpiryForm):
    """What a person says of a token; ``settings`` is what ``billing.services.tokens`` takes.

    :param available: the models that the person's group can call now
    """

    name = forms.CharField(
        label=_("Name"), max_length=64, help_text=_("What will use it, such as “translation plug-in”.")
    )
    limit_kind = forms.ChoiceField(
        label=_("Limit"), choices=LimitKind, initial=LimitKind.NONE, widget=forms.RadioSelect
    )
    quota_limit = LimitField(
        label=_("Most it may ever spend"),
        help_text=_("In US dollars, such as 5 or 0.25."),
        error_messages={"required": _("Enter an amount, or choose no limit.")},
    )
    chosen_models = forms.MultipleChoiceField(
        label=_("Models it may use"), required=False, widget=forms.CheckboxSelectMultiple
    )
    other_models = forms.CharField(
        label=_("Other models"),
        required=False,
        strip=False,  # an error names the line, and the first may be empty
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "mono"}),
        help_text=_("One a line. With no model chosen or written here it may use every model."),
    )
    networks = forms.CharField(
        label=_("Networks it may be used from"),
        required=False,
        strip=False,  # an error names the line, and the first may be empty
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "mono"}),
        help_text=_("Addresses or networks such as 203.0.113.0/24, one a line. Empty: from anywhere."),
    )

    field_order = (
        "name",
        "limit_kind",
        "quota_limit",
        "expiry",
        "expires_at",
        "chosen_models",
        "other_models",
        "networks",
    )

    def __init__(self, *args: Any, available: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = cast("forms.MultipleChoiceField", self.fields["chosen_models"])
        choices.choices = [(model, model) for model in available]

    @classmethod
    def initial_for(cls, token: Token, *, available: Sequence[str]) -> dict[str, object]:
        """The form as it shows an existing token."""
        limit = token.quota.quota_limit
        return {
            "name": token.name,
            "limit_kind": LimitKind.NONE if limit is None else LimitKind.AMOUNT,
            "quota_limit": limit,
            "chosen_models": [model for model in token.allowed_models if model in available],
            "other_models": "\n".join(model for model in token.allowed_models if model not in available),
            "networks": "\n".join(token.allowed_networks),
            **cls.initial_expiry(token.expires_at),
        }

    def clean_other_models(self) -> list[str]:
        lines = _lines(self.cleaned_data["other_models"])
        for number, model in lines:
            if len(model) > 128:
                raise ValidationError(
                    _("Line %(line)s is longer than a model's name can be."), params={"line": number}
                )
        return [model for _number, model in lines]

    def clean_networks(self) -> list[str]:
        return [_network(number, text) for number, text in _lines(self.cleaned_data["networks"])]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("limit_kind") == LimitKind.NONE:
            cleaned["quota_limit"] = None
            self.errors.pop("quota_limit", None)
        return cleaned

    @property
    def settings(self) -> dict[str, Any]:
        data = self.cleaned_data
        expires_at: datetime | None = data["expires_at"]
        return {
            "name": data["name"],
            "quota_limit": data["quota_limit"],
            "expires_at": expires_at,
            "allowed_models": list(dict.fromkeys([*data["chosen_models"], *data["other_models"]])),
            "allowed_networks": list(dict.fromkeys(data["networks"])),
        }


def _lines(text: str) -> list[tuple[int, str]]:
    """The lines that are not empty, with their numbers as a person counts them."""
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) > MAX_LINES:
        raise ValidationError(_("At most %(max)s lines are possible."), params={"max": MAX_LINES})
    return lines


def _network(number: int, text: str) -> str:
    try:
        return str(ipaddress.ip_network(text)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        params = {"line": number, "text": text[:60], "meant": _meant_network(text)}
    if params["meant"]:
        raise ValidationError(
            _("Line %(line)s: “%(text)s” is an address inside a network. The network is %(meant)s."),
            params=params,
        )
    raise ValidationError(
        _("Line %(line)s: “%(text)s” is not an IP address or a network such as 203.0.113.0/24."),
        params=params,
    )


def _meant_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""
