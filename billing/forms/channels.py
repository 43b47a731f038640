"""Forms of the channels' pages."""

import re
from typing import Any

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from accounts.validators import validate_group
from billing.models import Channel
from billing.services.channels import ChannelSettings, normalized_base_url
from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.registry import ADAPTERS, guess
from billing.validators import validate_base_url

MAX_MODEL_LENGTH = 128
ACCESS_PREFIX = "access_"
"""Before the names of credentials that read the balance."""
_KEY = re.compile(r"[\x21-\x7e]+", re.ASCII)


class ChannelForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=64)
    base_url = forms.CharField(
        label=_("Base URL"),
        max_length=255,
        validators=[validate_base_url],
        help_text=_(
            "Where the provider's OpenAI-compatible API is. A final /v1 is left off, since each call adds it."
        ),
        widget=forms.TextInput(
            attrs={"inputmode": "url", "autocomplete": "off", "placeholder": "https://api.openai.com"}
        ),
    )
    key = forms.CharField(label=_("Key"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}))
    models = forms.CharField(
        label=_("Models"),
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "mono"}),
        help_text=_("One a line, as callers ask for them."),
    )
    mapping = forms.CharField(
        label=_("Served as"),
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 2, "spellcheck": "false", "class": "mono", "placeholder": "gpt-4o=gpt-4o-mini"}
        ),
        help_text=_("For models that this provider calls otherwise: one asked=served a line."),
    )
    groups = forms.CharField(
        label=_("Groups"),
        initial="default",
        help_text=_("Whose calls it serves; several with commas between them."),
    )
    priority = forms.IntegerField(
        label=_("Priority"),
        initial=0,
        min_value=-1000,
        max_value=1000,
        help_text=_("Higher ones are used first."),
    )
    weight = forms.IntegerField(
        label=_("Weight"),
        initial=1,
        min_value=0,
        max_value=1000,
        help_text=_("Its share among those of one priority."),
    )
    cost_multiplier = forms.DecimalField(
        label=_("Cost multiplier"),
        initial=1,
        min_value=0,
        max_digits=12,
        decimal_places=6,
        help_text=_("What you pay this provider as a multiple of the list price; 0.8 is a discount of 20 %."),
    )
    balance_source = forms.ChoiceField(
        label=_("Balance from"),
        required=False,
        help_text=_("Where it is read what the provider's account still holds."),
    )
    balance_minutes = forms.IntegerField(
        label=_("Read every … minutes"), required=False, initial=10, min_value=1, max_value=1440
    )
    drift_tolerance = forms.DecimalField(
        label=_("Tolerated drift"),
        required=False,
        initial=5,
        min_value=0,
        max_value=100,
        max_digits=5,
        decimal_places=2,
        help_text=_("In percent: what the provider may take more or less than was metered."),
    )

    def __init__(self, *args: Any, channel: Channel | None = None, **kwargs: Any) -> None:
        if channel is not None:
            kwargs.setdefault("initial", _initial(channel))
        super().__init__(*args, **kwargs)
        self.adapter = self._chosen_adapter(channel)
        self._add_access_fields(channel)
        if channel is not None:
            self.fields["key"].required = False
            self.fields["key"].help_text = _("Leave it empty to keep the key %(hint)s.") % {
                "hint": channel.key_hint
            }

    def _chosen_adapter(self, channel: Channel | None) -> Adapter:
        """What reads the balance by what is entered so far."""
        base_url = str(self["base_url"].value() or "")
        is_sandbox = channel is not None and channel.is_sandbox
        guessed = ADAPTERS["sandbox" if is_sandbox else guess(normalized_base_url(base_url))]
        source: Any = self.fields["balance_source"]
        by_address = (
            _("By the base URL: %(title)s") % {"title": guessed.title} if base_url else _("By the base URL")
        )
        source.choices = [("", by_address), *((code, adapter.title) for code, adapter in ADAPTERS.items())]
        return ADAPTERS.get(str(self["balance_source"].value() or ""), guessed)

    def _add_access_fields(self, channel: Channel | None) -> None:
        """A field for each credential of the adapter; what is stored of it is only hinted at."""
        is_same = channel is not None and channel.source_of_balance == self.adapter.code
        hints = channel.balance_access_hints if channel is not None and is_same else {}
        for wanted in self.adapter.fields:
            widget = (
                forms.PasswordInput(attrs={"autocomplete": "new-password"})
                if wanted.is_secret
                else forms.TextInput(attrs={"autocomplete": "off"})
            )
            hint = hints.get(wanted.name)
            kept = _("Leave it empty to keep %(hint)s.") % {"hint": hint} if hint else ""
            self.fields[f"{ACCESS_PREFIX}{wanted.name}"] = forms.RegexField(
                label=wanted.label,  # type: ignore[arg-type]
                regex=_KEY,
                required=False,  # the service knows what is stored already
                max_length=4096,
                widget=widget,
                help_text=format_lazy("{} {}", wanted.hint, kept),
                error_messages={
                    "invalid": _("A key has no spaces and no letters beyond ASCII; copy it again.")
                },
            )

    @property
    def access_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(ACCESS_PREFIX)]

    def balance_access(self) -> dict[str, str]:
        """The credentials that were entered, by the adapter's names; the form has to be valid."""
        return {
            name.removeprefix(ACCESS_PREFIX): value
            for name, value in self.cleaned_data.items()
            if name.startswith(ACCESS_PREFIX) and value
        }

    def clean_base_url(self) -> str:
        url = normalized_base_url(self.cleaned_data["base_url"])
        if not url.lower().startswith(("https://", "http://")):
            raise forms.ValidationError(_("Enter an address that begins with https:// or http://."))
        return url

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if key and not _KEY.fullmatch(key):
            raise forms.ValidationError(_("A key has no spaces and no letters beyond ASCII; copy it again."))
        return key

    def clean_models(self) -> list[str]:
        names = list(dict.fromkeys(_lines(self.cleaned_data["models"].replace(",", "\n"))))
        if not names:
            raise forms.ValidationError(_("Enter at least one model."))
        for name in names:
            _check_model_name(name)
        return names

    def clean_mapping(self) -> dict[str, str]:
        mapping = {}
        for line in _lines(self.cleaned_data["mapping"]):
            asked, equals, served = (part.strip() for part in line.partition("="))
            if not (asked and equals and served):
                raise forms.ValidationError(
                    _("“%(line)s” is not of the form asked=served."), params={"line": line}
                )
            _check_model_name(served)
            mapping[asked] = served
        return mapping

    def clean_groups(self) -> list[str]:
        groups = list(dict.fromkeys(self.cleaned_data["groups"].replace(",", " ").split()))
        if not groups:
            raise forms.ValidationError(_("Enter at least one group."))
        for group in groups:
            validate_group(group)
        return groups

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for asked in data.get("mapping", {}):
            if asked not in data.get("models", [asked]):
                self.add_error("mapping", _("“%(model)s” is not among the models above.") % {"model": asked})
        return data

    def keep_errors_of(self, *names: str) -> None:
        """Check the form and forget what is wrong with its other fields, which are not needed yet."""
        for name in set(self.errors) - set(names):
            del self.errors[name]

    def settings(self) -> ChannelSettings:
        """What was entered; the form has to be valid."""
        data = {
            name: value
            for name, value in self.cleaned_data.items()
            if name != "key" and not name.startswith(ACCESS_PREFIX) and value is not None
        }
        return ChannelSettings(model_mapping=data.pop("mapping"), **data)


class ChannelTestForm(forms.Form):
    model = forms.ChoiceField(label=_("Model"), required=False)

    def __init__(self, *args: Any, channel: Channel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].choices = [(name, name) for name in channel.models]  # type: ignore[attr-defined]


def _initial(channel: Channel) -> dict[str, Any]:
    return {
        "name": channel.name,
        "base_url": channel.base_url,
        "models": "\n".join(channel.models),
        "mapping": "\n".join(f"{asked}={served}" for asked, served in channel.model_mapping.items()),
        "groups": ", ".join(channel.groups),
        "priority": channel.priority,
        "weight": channel.weight,
        "cost_multiplier": f"{channel.cost_multiplier.normalize():f}",
        "balance_source": channel.balance_source,
        "balance_minutes": channel.balance_minutes,
        "drift_tolerance": f"{channel.drift_tolerance.normalize():f}",
    }


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _check_model_name(name: str) -> None:
    if len(name) > MAX_MODEL_LENGTH:
        raise forms.ValidationError(
            _("“%(name)s…” is longer than %(max)s characters."),
            params={"name": name[:24], "max": MAX_MODEL_LENGTH},
        )
    if any(sign.isspace() for sign in name):
        raise forms.ValidationError(_("“%(name)s” has a space in it."), params={"name": name})
