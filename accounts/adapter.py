"""Who may sign up: the operators' switch decides."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.http import HttpRequest

from accounts.models import User
from accounts.services.site import is_signup_open
from accounts.services.users import note_sign_up


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002  allauth passes it
        return is_signup_open()

    def save_user(
        self,
        request: HttpRequest,
        user: AbstractBaseUser,
        form: Any,
        commit: bool = True,  # noqa: FBT001, FBT002  allauth's
    ) -> AbstractBaseUser:
        with transaction.atomic():
            saved = super().save_user(request, user, form, commit)
            if commit and isinstance(saved, User):
                note_sign_up(user=saved)
        return saved
