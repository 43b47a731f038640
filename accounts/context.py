"""What signed-out pages need to know."""

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.services.site import is_signup_open


def sign_up(_request: HttpRequest) -> dict[str, object]:
    """``is_signup_open``: whether to offer an account; read only where a page asks."""
    return {"is_signup_open": SimpleLazyObject(is_signup_open)}
