"""Forms that move quota once, however often they are sent."""

from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _

from billing.services.ledger import IdempotencyKeyReusedError
from oneapi_admin.lib.errors import DomainError

Result = TypeVar("Result")


class OnceForm(forms.Form):
    """``key`` is minted when the form is opened: sending the form twice moves quota once."""

    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)

    @property
    def idempotency_key(self) -> str:
        """The key as the ledger keeps it; the form has to be valid."""
        return f"console:{self.cleaned_data['key']}"

    def attempt(self, act: Callable[[], Result], *, field: str | None = None) -> Result | None:
        """Do what the form is for; None, and the reason at the field, when it is refused."""
        try:
            return act()
        except IdempotencyKeyReusedError:
            self.add_error(
                None,
                _("This form has already moved quota in another way. Send it again to do this, too."),
            )
            self.renew_key()
        except DomainError as exc:
            self.add_error(field, exc.full_text)
        return None

    def renew_key(self) -> None:
        """Let the same form, sent once more, stand for another movement."""
        if isinstance(self.data, QueryDict):
            self.data = {**self.data.dict(), "key": str(uuid4())}
