"""Forms of the users' pages."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.utils.translation import gettext_lazy as _

from accounts.models import Role, User, UserStatus
from accounts.validators import validate_group, validate_username
from billing.forms.amounts import AmountField, AmountFormMixin, UnitField
from billing.forms.once import OnceForm

_LEFT_EMPTY = _("Leave it empty to have one made; it is shown once.")
_NEW_PASSWORD = forms.PasswordInput(attrs={"autocomplete": "new-password"})


class TopUpForm(AmountFormMixin, OnceForm):
    amount = AmountField()
    unit = UnitField()
    memo = forms.CharField(
        label=_("Memo"), max_length=255, required=False, help_text=_("Shown in the statement.")
    )


class _PersonForm(forms.Form):
    """What creating and editing have in common; ``person`` is who is edited."""

    display_name = forms.CharField(label=_("Display name"), max_length=64, required=False)
    email = forms.EmailField(label=_("E-mail"), max_length=254, required=False)
    group = forms.CharField(
        label=_("Group"),
        max_length=32,
        initial="default",
        validators=[validate_group],
        help_text=_("Decides which channels may be used and at which multiple of the prices."),
        widget=forms.TextInput(attrs={"list": "groups", "autocomplete": "off"}),
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role, initial=Role.USER)

    def __init__(self, *args: Any, actor: User, person: User | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person
        if not actor.is_root:
            del self.fields["role"]

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        others = User.objects.filter(email__iexact=email)
        if self.person:
            others = others.exclude(pk=self.person.pk)
        if email and others.exists():
            raise forms.ValidationError(_("Somebody else has this e-mail address."))
        return email


class UserCreateForm(AmountFormMixin, _PersonForm):
    field_order = ["username", "password", "display_name", "email", "group", "role", "amount"]

    username = forms.CharField(
        label=_("User name"),
        max_length=64,
        validators=[validate_username],
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label=_("Password"), required=False, strip=False, widget=_NEW_PASSWORD, help_text=_LEFT_EMPTY
    )
    amount = AmountField(label=_("First quota"), required=False)

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise forms.ValidationError(_("This user name is taken."))
        return username

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        person = User(username=data.get("username", ""), email=data.get("email", ""))
        _check_password(self, data.get("password", ""), person)
        return data


class UserEditForm(_PersonForm):
    field_order = ["display_name", "email", "group", "role", "status"]

    status = forms.ChoiceField(
        label=_("Status"),
        choices=[(status.value, status.label) for status in UserStatus if status != UserStatus.DELETED],
        help_text=_("A disabled person can neither sign in nor call; everything they have stays."),
    )


class PasswordForm(forms.Form):
    password = forms.CharField(
        label=_("New password"), required=False, strip=False, widget=_NEW_PASSWORD, help_text=_LEFT_EMPTY
    )

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        _check_password(self, data.get("password", ""), self.person)
        return data


def _check_password(form: forms.Form, password: str, person: User) -> None:
    if not password:
        return
    try:
        validate_password(password, person)
    except forms.ValidationError as exc:
        form.add_error("password", exc)
