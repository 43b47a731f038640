"""The form of operators' rules, which are about everything."""

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from billing.forms.alert_kinds import OF_USERS
from billing.forms.alerts import RuleForm
from billing.models import AlertAudience, AlertKind, AlertRule, AlertScope, Channel
from billing.services.alerts.readings import Kind


class OperatorsRuleForm(RuleForm):
    """A rule of the operators."""

    offered = tuple(AlertKind)
    of_kind = (*RuleForm.of_kind, "minimum_calls", "audience")

    scope = forms.ChoiceField(label=gettext_lazy("About"), choices=AlertScope, widget=forms.RadioSelect)
    channel = forms.ModelChoiceField(
        label=gettext_lazy("Channel"),
        queryset=Channel.objects.defer("encrypted_key", "encrypted_balance_access").order_by("name", "pk"),
        empty_label=gettext_lazy("Choose …"),
    )
    user = forms.CharField(
        label=gettext_lazy("User"),
        max_length=150,
        help_text=gettext_lazy("The user name."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    minimum_calls = forms.IntegerField(
        label=gettext_lazy("Least number of calls"),
        initial=20,
        min_value=0,
        max_value=1_000_000,
        help_text=gettext_lazy("With fewer calls in the hour a rate says nothing, and nobody is told."),
    )
    audience = forms.ChoiceField(
        label=gettext_lazy("Who is told"), choices=AlertAudience, widget=forms.RadioSelect
    )
    is_sent_to_webhooks = forms.BooleanField(label=gettext_lazy("By webhooks"), required=False, initial=True)

    def _fit(self, code: AlertKind, kind: Kind) -> None:
        super()._fit(code, kind)
        if code != AlertKind.ERROR_RATE:
            self._drop(("minimum_calls",))
        if AlertScope.CHANNEL not in kind.scopes:
            self._drop(("channel",))
        if AlertScope.USER not in kind.scopes:
            self._drop(("user", "audience"))
        if len(kind.scopes) == 1:
            self._drop(("scope",))
            return
        cast("forms.ChoiceField", self.fields["scope"]).choices = [
            (scope.value, scope.label) for scope in kind.scopes
        ]
        if self.initial.get("scope") not in kind.scopes:
            self.initial["scope"] = kind.scopes[0]
        is_of_people = OF_USERS.issuperset(kind.scopes)
        self.initial.setdefault("audience", AlertAudience.USER if is_of_people else AlertAudience.OPERATORS)

    def _said_by(self, rule: AlertRule) -> dict[str, Any]:
        plain = ("scope", "channel", "minimum_calls", "audience", "is_sent_to_webhooks")
        username = rule.user.username if rule.user is not None else ""
        return super()._said_by(rule) | {name: getattr(rule, name) for name in plain} | {"user": username}

    def clean_user(self) -> User | None:
        text: str = self.cleaned_data["user"]
        kept = self.rule.user if self.rule is not None else None
        if kept is not None and kept.username == text:
            return kept
        user: User | None = User.objects.visible_to(self.actor).filter(username__iexact=text).first()
        if user is None:
            raise ValidationError(_("There is no user of this name."))
        return user

    def clean(self) -> dict[str, Any]:
        """Leave out what belongs to another choice of what the rule is about."""
        data = super().clean()
        scope = data.get("scope")
        needed = {"channel": scope == AlertScope.CHANNEL, "user": scope == AlertScope.USER}
        for name, is_needed in {**needed, "audience": scope in OF_USERS}.items():
            if not is_needed:
                data.pop(name, None)
                self.errors.pop(name, None)
        return data
