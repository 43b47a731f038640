"""Who may sign up: the operators' switch decides."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from accounts.services.site import is_signup_open


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  allauth passes it
        return is_signup_open()
