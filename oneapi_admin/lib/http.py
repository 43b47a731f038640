"""Requests that may come from htmx, and the answers that suit both those and plain ones."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django_htmx.http import trigger_client_event
from django_htmx.middleware import HtmxDetails

from oneapi_admin.lib.errors import DomainError

LIST_CHANGED = "list-changed"
"""The event on which a page's list asks for itself again."""


class HtmxHttpRequest(HttpRequest):
    htmx: HtmxDetails


def panel(
    request: HtmxHttpRequest, template: str, context: dict[str, Any], *, status: int = 200
) -> TemplateResponse:
    """The whole page, or for htmx its partial named ``panel``, which goes into the slide-over."""
    name = f"{template}#panel" if request.htmx else template
    return TemplateResponse(request, name, context, status=status)


def changed(request: HtmxHttpRequest, *, message: str, url: str) -> HttpResponse:
    """A change was made: go back to its list, or let htmx close the slide-over and draw the list again."""
    if not request.htmx:
        messages.success(request, message)
        return redirect(url)
    response = HttpResponse(status=204)
    trigger_client_event(response, "slideover:close", {})
    trigger_client_event(response, LIST_CHANGED, {})
    return trigger_client_event(response, "toast", {"level": "success", "message": message})


def refused(request: HtmxHttpRequest, error: DomainError, *, url: str) -> HttpResponse:
    """A change was refused: say why on the page where it was asked for, and draw what may have changed."""
    if not request.htmx:
        messages.error(request, error.full_text)
        return redirect(url)
    response = HttpResponse(status=204)
    trigger_client_event(response, LIST_CHANGED, {})
    return trigger_client_event(response, "toast", {"level": "error", "message": error.full_text})
