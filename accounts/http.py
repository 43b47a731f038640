"""The request of a signed-in person."""

from accounts.models import User
from oneapi_admin.lib.http import HtmxHttpRequest


class UserHttpRequest(HtmxHttpRequest):
    """What a view behind ``login_required`` gets."""

    user: User
