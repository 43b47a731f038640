"""What every page's request goes through beside Django's own."""

from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django_structlog.middlewares import RequestMiddleware

from oneapi_admin.lib.origin import coming_from
from oneapi_admin.lib.request_id import HEADER, new_request_id
from oneapi_admin.probes import PROBES

Handler = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Name the request, bind the name to its log lines and to what it does, and tell it to the caller."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = new_request_id()
        request.META["HTTP_X_REQUEST_ID"] = request_id  # what django-structlog binds to its log lines
        structlog.contextvars.bind_contextvars(request_id=request_id)
        with coming_from(request_id=request_id, address=request.META.get("REMOTE_ADDR")):
            response = self.get_response(request)
        response.headers[HEADER] = request_id
        return response


class RequestLogMiddleware(RequestMiddleware):
    """Log requests by their paths: what follows the question mark may be a code that somebody was given."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"


class ProbeMiddleware:
    """Answer probes before anything asks for a known host name: they come by address."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = PROBES.get(request.path)
        return probe(request) if probe else self.get_response(request)


class UserLocaleMiddleware:
    """Speak the language that the person chose, else the one the browser asks for."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chosen = request.user.language if request.user.is_authenticated else ""
        language = chosen or translation.get_language_from_request(request)
        if language not in dict(settings.LANGUAGES):
            language = settings.LANGUAGE_CODE
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", language)
        return response


class HtmxLoginRedirectMiddleware:
    """Send the whole page to the sign-in form when a fragment's request finds the session gone."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_sent_to_login = response.headers.get("Location", "").startswith("/accounts/login")
        if request.headers.get("HX-Request") and response.status_code == 302 and is_sent_to_login:
            return HttpResponse(status=204, headers={"HX-Redirect": "/accounts/login/"})
        return response
