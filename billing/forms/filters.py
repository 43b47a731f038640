"""What the lists of usage and of movements can be filtered by; both come as GET parameters."""

from typing import Any, cast

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import CallStatus, EntryKind
from billing.queries.statement import StatementFilters
from billing.queries.usage import UsageFilters, UsedNames


def _date_field(label: Any) -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date", "aria-label": label, "title": label}, format="%Y-%m-%d")
    return forms.DateField(required=False, label=label, widget=widget)


def _select(label: Any) -> forms.Select:
    return forms.Select(attrs={"aria-label": label})


class DaysForm(forms.Form):
    """A range of UTC days, both included."""

    since = _date_field(gettext_lazy("From day (UTC)"))
    until = _date_field(gettext_lazy("To day (UTC)"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", _("The last day is before the first."))
        return cleaned

    @property
    def problems(self) -> list[str]:
        """What is wrong, each line with the name of its field."""
        return [
            f"{self.fields[name].label}: {error}" for name, errors in self.errors.items() for error in errors
        ]

    @property
    def is_used(self) -> bool:
        """Whether anything is filtered at all."""
        return any(self.data.get(name) for name in self.fields)


class UsageFilterForm(DaysForm):
    token = forms.TypedChoiceField(
        label=gettext_lazy("Token"),
        required=False,
        coerce=int,
        empty_value=None,
        widget=_select(gettext_lazy("Token")),
    )
    model = forms.ChoiceField(
        label=gettext_lazy("Model"), required=False, widget=_select(gettext_lazy("Model"))
    )
    status = forms.ChoiceField(
        label=gettext_lazy("Status"),
        required=False,
        choices=[("", gettext_lazy("All results")), *CallStatus.choices],
        widget=_select(gettext_lazy("Status")),
    )
    entry = forms.IntegerField(
        label=gettext_lazy("Movement"),
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        widget=forms.HiddenInput,
    )

    def __init__(self, *args: Any, names: UsedNames, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tokens = [(pk, name or _("Deleted token %(number)s") % {"number": pk}) for pk, name in names.tokens]
        for field, first, choices in (
            ("token", _("All tokens"), tokens),
            ("model", _("All models"), [(model, model) for model in names.models]),
        ):
            found = cast("forms.ChoiceField", self.fields[field])
            found.choices = [("", first), *choices]

    @property
    def filters(self) -> UsageFilters:
        return UsageFilters(**self.cleaned_data)


class StatementFilterForm(DaysForm):
    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        required=False,
        choices=[("", gettext_lazy("All kinds")), *EntryKind.choices],
        widget=_select(gettext_lazy("Kind")),
    )

    @property
    def filters(self) -> StatementFilters:
        return StatementFilters(**self.cleaned_data)
