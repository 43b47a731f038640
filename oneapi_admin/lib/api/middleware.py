"""What surrounds the management API: limits before it, and problems for what never reaches an operation."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _

from oneapi_admin.lib.api.problems import MEDIA_TYPE, domain_problem, problem_response
from oneapi_admin.lib.api.rate_limits import RateLimitedError, count_address, set_headers

PREFIX = "/api/v1/"
_KEPT = ("Allow", "Retry-After", "WWW-Authenticate")


class ApiMiddleware:
    """Count requests by address; answer unknown paths, methods and hosts with problems, too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PREFIX):
            return self.get_response(request)
        with translation.override(translation.get_language_from_request(request)):
            response = self._answer(request)
            response.headers.setdefault("Content-Language", translation.get_language() or "")
        set_headers(request, response)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            count_address(request)
        except RateLimitedError as exc:
            return domain_problem(request, exc)
        response = self.get_response(request)
        if response.status_code < 400 or response.headers.get("Content-Type", "") == MEDIA_TYPE:
            return response
        problem = problem_response(request, status=response.status_code, detail=_detail(response.status_code))
        for name in _KEPT:
            if name in response.headers:
                problem.headers[name] = response.headers[name]
        return problem


def _detail(status: int) -> str:
    if status == 404:
        return _("There is no such address in this API.")
    if status == 405:
        return _("This address does not take this method; see “Allow”.")
    return _("The request was refused.")
