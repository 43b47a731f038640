"""Forms of the webhooks' pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.models import Webhook, WebhookEvent
from billing.services.webhooks import WebhookSettings
from billing.validators import validate_webhook_url


class WebhookForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=64)
    url = forms.CharField(
        label=_("Address"),
        max_length=1000,
        validators=[validate_webhook_url],
        help_text=_("Where events are posted to. Addresses on this machine and in your network are fine."),
        widget=forms.TextInput(
            attrs={
                "inputmode": "url",
                "autocomplete": "off",
                "placeholder": "https://shop.example.com/hooks/quota",
            }
        ),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"), choices=WebhookEvent.choices, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, webhook: Webhook | None = None, **kwargs: Any) -> None:
        if webhook is not None:
            kwargs["initial"] = {"name": webhook.name, "url": webhook.url, "events": webhook.events}
        super().__init__(*args, **kwargs)

    def settings(self) -> WebhookSettings:
        """What was entered; the form has to be valid."""
        return WebhookSettings(**self.cleaned_data)
