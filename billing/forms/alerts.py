"""Forms of the alerts' pages. What a rule may say is checked by the service."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, Self, cast

from django import forms
from django.conf import settings
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from billing.forms.alert_kinds import MEANINGS, UNITS, grouped, numbers, told_when
from billing.models import (
    AlertAudience,
    AlertDestination,
    AlertKind,
    AlertRule,
    AlertScope,
)
from billing.models.alerts import validate_time_zone
from billing.services.alerts.chat import SERVICES
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.readings import Kind, Unit
from billing.services.alerts.rules import RuleSettings
from billing.services.alerts.schedule import A_DAY

SHOWN: Final = "shown"
"""The hidden field that says of which kind the fields on the page are."""
TIME_ZONES: Final = (
    "Asia/Shanghai",
    "Asia/Hong_Kong",
    "Asia/Taipei",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Asia/Kolkata",
    "Asia/Dubai",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Moscow",
    "Europe/Paris",
    "America/Chicago",
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Sydney",
    "UTC",
)
"""Those that are suggested; every other may be typed."""
_DIGESTS: Final[dict[int, str | Promise]] = {
    0: gettext_lazy("At once"),
    15: gettext_lazy("Together every 15 minutes"),
    60: gettext_lazy("Together every hour"),
    A_DAY: gettext_lazy("Together once a day"),
}


class _TimeInput(forms.TimeInput):
    input_type = "time"


class _DestinationsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} ({SERVICES[obj.service].title})"


def _time_field(label: Any, help_text: Any = "") -> forms.TimeField:
    return forms.TimeField(
        label=label, required=False, help_text=help_text, widget=_TimeInput(format="%H:%M")
    )


class RuleForm(forms.Form):
    """What rules of both operators and people say, with the fields that belong to the chosen kind."""

    offered: ClassVar[Sequence[AlertKind]]
    of_kind: ClassVar[Sequence[str]] = ("thresholds", "critical_thresholds", "is_critical")
    """The fields that say something else under another kind."""
    use_required_attribute = False  # some are asked for by one choice, and hidden by another

    kind = forms.ChoiceField(label=gettext_lazy("What to watch"))
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=64,
        required=False,
        help_text=gettext_lazy("It stands in what is sent."),
    )
    thresholds = forms.CharField(label=gettext_lazy("Thresholds"), max_length=200)
    critical_thresholds = forms.CharField(
        label=gettext_lazy("Of these critical"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Told at once, also in quiet hours and without waiting for a digest."),
    )
    is_critical = forms.BooleanField(
        label=gettext_lazy("It is critical"),
        required=False,
        help_text=gettext_lazy("Told at once, also in quiet hours and without waiting for a digest."),
    )
    is_mailed = forms.BooleanField(label=gettext_lazy("By e-mail"), required=False, initial=True)
    destinations = _DestinationsField(
        label=gettext_lazy("Chat services"),
        queryset=AlertDestination.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    tells_recovery = forms.BooleanField(
        label=gettext_lazy("Tell also when it is over"), required=False, initial=True
    )
    quiet_from = _time_field(gettext_lazy("Quiet from"))
    quiet_until = _time_field(gettext_lazy("Quiet until"))
    time_zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        max_length=64,
        required=False,
        validators=[validate_time_zone],
        widget=forms.TextInput(attrs={"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("Of quiet hours and digests."),
    )
    digest_minutes = forms.TypedChoiceField(
        label=gettext_lazy("When to tell"), choices=list(_DIGESTS.items()), coerce=int, initial=0
    )
    digest_at = _time_field(gettext_lazy("Every day at"), gettext_lazy("Without a time at 09:00."))

    def __init__(self, *args: Any, actor: User, rule: AlertRule | None = None, **kwargs: Any) -> None:
        self.actor, self.rule = actor, rule
        if rule is not None:
            kwargs["initial"] = self._said_by(rule)
        super().__init__(*args, **kwargs)
        self.chosen = self._chosen_kind()
        theirs = AlertDestination.objects.filter(owner=self._owner).order_by("pk")
        cast("_DestinationsField", self.fields["destinations"]).queryset = theirs
        self.fields["time_zone"].widget.attrs["placeholder"] = settings.TIME_ZONE
        if rule is not None:
            self._keep_digest_of(rule)
            del self.fields["kind"]
        if self.chosen is None:
            self._drop(name for name in self.fields if name != "kind")
        else:
            self._fit(self.chosen, KINDS[self.chosen])

    @classmethod
    def sent_or_begun(cls, data: QueryDict | None, *, kind: str = "", **context: Any) -> Self:
        """The form as it was sent; or, where the fields sent belong to another kind than the one that is
        chosen by now, as it begins for that one.

        :param kind: what a form that was not sent begins with
        """
        if data is None:
            return cls(initial={"kind": kind}, **context)
        chosen = data.get("kind", "")
        if data.get(SHOWN, chosen) == chosen:
            return cls(data, **context)
        return cls(initial=cls._under_way(data), **context)

    @classmethod
    def _under_way(cls, data: QueryDict) -> dict[str, Any]:
        """What was entered under another kind and still holds."""
        initial: dict[str, Any] = {"kind": data.get("kind", ""), "name": data.get("name", "")}
        if data.get(SHOWN):
            initial |= {
                name: field.widget.value_from_datadict(data, {}, name)
                for name, field in cls.base_fields.items()
                if name not in cls.of_kind and name != "kind"
            }
        return {name: value for name, value in initial.items() if value is not None}

    def _chosen_kind(self) -> AlertKind | None:
        if self.rule is not None:
            return AlertKind(self.rule.kind)
        field = cast("forms.ChoiceField", self.fields["kind"])
        field.choices = [("", _("Choose …")), *grouped(self.offered)]
        value = self["kind"].value()
        return AlertKind(value) if value in self.offered else None

    def _fit(self, code: AlertKind, kind: Kind) -> None:
        """Leave the fields that belong to the kind, and fill in what is usual for it."""
        if kind.is_yes_or_no:
            self._drop(("thresholds", "critical_thresholds"))
        else:
            self._drop(("is_critical",))
            self.initial.setdefault("thresholds", " ".join(kind.default_thresholds))
            self.fields["thresholds"].help_text = told_when(kind)
        self.fields["name"].widget.attrs["placeholder"] = code.label

    def _keep_digest_of(self, rule: AlertRule) -> None:
        """A program may have chosen other minutes than those that are offered."""
        if rule.digest_minutes not in _DIGESTS:
            label = _("Together every %(n)s minutes") % {"n": rule.digest_minutes}
            field = cast("forms.TypedChoiceField", self.fields["digest_minutes"])
            field.choices = [*_DIGESTS.items(), (rule.digest_minutes, label)]

    def _drop(self, names: Iterable[str]) -> None:
        for name in list(names):
            self.fields.pop(name, None)

    def _said_by(self, rule: AlertRule) -> dict[str, Any]:
        plain = ("name", "is_mailed", "tells_recovery", "quiet_from", "quiet_until", "time_zone")
        return {
            **{name: getattr(rule, name) for name in (*plain, "digest_minutes", "digest_at")},
            "thresholds": " ".join(rule.thresholds),
            "critical_thresholds": " ".join(rule.critical_thresholds),
            "is_critical": bool(rule.critical_thresholds),
            "destinations": [destination.pk for destination in rule.destinations.all()],
        }

    @property
    def unit(self) -> str:
        """What thresholds of the chosen kind are counted in."""
        return "" if self.chosen is None else str(UNITS[KINDS[self.chosen].unit])

    @property
    def meaning(self) -> str:
        """What a rule of the chosen kind watches."""
        return "" if self.chosen is None else str(MEANINGS[self.chosen])

    @property
    def time_zones(self) -> Sequence[str]:
        return TIME_ZONES

    @property
    def has_times(self) -> bool:
        """Whether the fields of quiet hours and digests have anything to show."""
        names = ("quiet_from", "quiet_until", "time_zone", "digest_minutes", "digest_at")
        return any(name in self.errors or self[name].value() not in ("", None, 0, "0") for name in names)

    def clean_thresholds(self) -> list[str]:
        return self._numbers("thresholds")

    def clean_critical_thresholds(self) -> list[str]:
        return self._numbers("critical_thresholds")

    def _numbers(self, name: str) -> list[str]:
        unit = Unit.COUNT if self.chosen is None else KINDS[self.chosen].unit
        return numbers(self.cleaned_data[name], unit)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("digest_minutes") != A_DAY:
            data["digest_at"] = None
        return data

    def settings(self) -> RuleSettings:
        """What was entered; the form has to be valid."""
        if self.chosen is None:
            raise ValueError("A form without a kind is not valid.")
        data = {name: value for name, value in self.cleaned_data.items() if name != "kind"}
        is_critical = data.pop("is_critical", False)
        if KINDS[self.chosen].is_yes_or_no:
            data["critical_thresholds"] = KINDS[self.chosen].default_thresholds if is_critical else ()
        data["name"] = data["name"] or str(self.chosen.label)
        data["destinations"] = list(data["destinations"])
        return RuleSettings(kind=self.chosen, **(self._unasked(KINDS[self.chosen]) | data))

    @property
    def _owner(self) -> User | None:
        """Whose rule it is, and whose destinations are offered."""
        return None

    def _unasked(self, kind: Kind) -> dict[str, Any]:
        """What a rule of the kind says where there is no field for it."""
        return {"scope": kind.scopes[0]}


class OwnRuleForm(RuleForm):
    """A rule of a person about their own quota."""

    offered = tuple(code for code, kind in KINDS.items() if AlertScope.USER in kind.scopes)

    @property
    def _owner(self) -> User:
        return self.actor

    def _unasked(self, kind: Kind) -> dict[str, Any]:  # noqa: ARG002  the same whatever the kind
        return {"scope": AlertScope.USER, "user": self.actor, "audience": AlertAudience.USER}
