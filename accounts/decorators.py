"""Who may open a page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase

View = Callable[..., HttpResponseBase]


def operator_required(view: View) -> View:
    """For operators' pages: visitors sign in first, and ordinary users find nothing there."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_operator:  # type: ignore[union-attr]  # login_required lets no visitor through
            raise Http404
        return view(request, *args, **kwargs)

    return login_required(checked)
