"""Forms about people and the keys of theirs that calls do not use."""

from datetime import datetime, timedelta
from typing import Any, cast

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, Scope, SubjectType, User, scopes_of_use_to
from accounts.queries import AuditFilters
from accounts.validators import validate_expiry
from oneapi_admin.lib.days import end_of, midnight


class Expiry(models.TextChoices):
    NEVER = "never", _("Never")
    DAY = "1", _("In 1 day")
    WEEK = "7", _("In 7 days")
    MONTH = "30", _("In 30 days")
    QUARTER = "90", _("In 90 days")
    CUSTOM = "custom", _("At a time of my choice")


class ExpiryForm(forms.Form):
    """When a key stops working; ``cleaned_data["expires_at"]`` is a time, or None for never.

    :param at: now
    :param current: the present expiry of a key that is being changed
    """

    use_required_attribute = False  # the browser would ask for a time that is hidden

    expiry = forms.ChoiceField(label=_("Expires"), choices=Expiry, initial=Expiry.NEVER)
    expires_at = forms.DateTimeField(
        label=_("Expires at"),
        error_messages={"required": _("Enter a date and a time, or choose another expiry.")},
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"),
    )

    def __init__(self, *args: Any, at: datetime, current: datetime | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.at, self.current = at, current
        self.fields["expires_at"].help_text = _("Time zone: %(zone)s") % {
            "zone": timezone.get_current_timezone_name()
        }

    @staticmethod
    def initial_expiry(current: datetime | None) -> dict[str, object]:
        """Show the present expiry of a key that is being changed."""
        return {"expiry": Expiry.CUSTOM if current else Expiry.NEVER, "expires_at": current}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        expiry, chosen = cleaned.get("expiry"), cleaned.get("expires_at")
        if expiry == Expiry.CUSTOM:
            cleaned["expires_at"] = chosen and self._checked_time(chosen)
        elif expiry:
            self.errors.pop("expires_at", None)
            cleaned["expires_at"] = None if expiry == Expiry.NEVER else self.at + timedelta(days=int(expiry))
        return cleaned

    def _checked_time(self, chosen: datetime) -> datetime:
        if self.current is not None and chosen == self.current.replace(microsecond=0):
            return self.current
        try:
            validate_expiry(chosen, at=self.at)
        except ValidationError as exc:
            self.add_error(None, exc)
        return chosen


class AccessTokenForm(ExpiryForm):
    """
    :param user: whose it will be
    """

    name = forms.CharField(
        label=_("Name"), max_length=64, help_text=_("What will use it, such as “monthly report”.")
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        initial=[Scope.READ],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("What it may be used for. It can never do more than you can."),
        error_messages={"required": _("Choose at least one scope.")},
    )
    field_order = ("name", "scopes", "expiry", "expires_at")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes = cast("forms.MultipleChoiceField", self.fields["scopes"])
        scopes.choices = [(scope.value, scope.label) for scope in scopes_of_use_to(user)]


class Grace(models.TextChoices):
    """How long the old key goes on working after a rotation, in hours."""

    NONE = "0", _("Not at all: it stops working now")
    HOUR = "1", _("1 hour")
    DAY = "24", _("24 hours")
    WEEK = "168", _("7 days")


class RotationForm(forms.Form):
    """``cleaned_data["grace"]`` is a timedelta."""

    grace = forms.TypedChoiceField(
        label=_("How long the present key goes on working"),
        choices=Grace,
        initial=Grace.NONE,
        coerce=lambda hours: timedelta(hours=int(hours)),
        widget=forms.RadioSelect,
        help_text=_("Time for you to give the new key to whatever uses it."),
    )


class ProfileForm(forms.Form):
    display_name = forms.CharField(
        label=_("Display name"), max_length=64, required=False, help_text=_("What pages call you.")
    )


BROWSER = "browser"


class LanguageForm(forms.Form):
    language = forms.ChoiceField(
        label=_("Language"), choices=[(BROWSER, _("The browser's")), *settings.LANGUAGES]
    )

    def clean_language(self) -> str:
        chosen: str = self.cleaned_data["language"]
        return "" if chosen == BROWSER else chosen


class AuditFilterForm(forms.Form):
    """What the audit log is narrowed to; days are whole ones, in the site's time zone."""

    actor = forms.CharField(label=_("By whom"), max_length=64, required=False)
    user = forms.CharField(label=_("About whom"), max_length=64, required=False)
    action = forms.ChoiceField(
        label=_("Action"), choices=[("", _("All actions")), *AuditAction.choices], required=False
    )
    subject = forms.ChoiceField(
        label=_("Subject"), choices=[("", _("All subjects")), *SubjectType.choices], required=False
    )
    number = forms.IntegerField(
        label=_("Number of the subject"), min_value=1, max_value=2**63 - 1, required=False
    )
    since = forms.DateField(label=_("From"), required=False)
    until = forms.DateField(label=_("To"), required=False)

    @property
    def filters(self) -> AuditFilters:
        data = self.cleaned_data
        return AuditFilters(
            actor=data["actor"],
            user=data["user"],
            action=data["action"],
            subject_type=data["subject"],
            subject_id=data["number"],
            since=midnight(data["since"]) if data["since"] else None,
            until=end_of(data["until"]) if data["until"] else None,
        )
