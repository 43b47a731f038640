from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.alert_destinations import DestinationForm
from billing.models import AlertDestination
from billing.queries import alerts as queries
from billing.queries.alert_lines import DestinationLine
from billing.services.alerts import destinations as services
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import changed, panel, refused


@operator_required
@require_safe
def alert_destinations(request: UserHttpRequest) -> HttpResponse:
    found = queries.destinations_of(None).prefetch_related("rules").order_by("pk")
    context = {
        "lines": [DestinationLine(destination=destination) for destination in found],
        "mailed": queries.operators_with_address(),
        "webhooks": queries.webhooks_told(),
    }
    return TemplateResponse(request, "ops/alert_destinations.html", context)


@never_cache
@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def alert_destination_create(request: UserHttpRequest) -> HttpResponse:
    form = DestinationForm(
        request.POST if request.method == "POST" else None, initial={"language": get_language()}
    )
    if form.is_valid():
        try:
            destination = services.add_destination(
                actor=request.user, owner=None, at=timezone.now(), **form.cleaned_data
            )
        except ValidationError as exc:
            form.add_error(None, exc)
        except DomainError as exc:
            form.add_error(None, exc.full_text)
        else:
            text = _("%(name)s was added. Send a test to see whether it arrives.")
            return _changed(request, destination, text)
    return panel(
        request, "ops/alert_destination_form.html", {"form": form}, status=422 if form.errors else 200
    )


@operator_required
@require_POST
def alert_destination_test(request: UserHttpRequest, pk: int) -> HttpResponse:
    destination = _destination(pk)
    try:
        services.send_test(actor=request.user, destination=destination, at=timezone.now())
    except DomainError as exc:
        return refused(request, exc, url=reverse("ops:alert-destinations"))
    return _changed(request, destination, _("%(name)s took the test."))


@operator_required
@require_POST
def alert_destination_delete(request: UserHttpRequest, pk: int) -> HttpResponse:
    destination = _destination(pk)
    services.remove_destination(actor=request.user, destination=destination)
    return _changed(request, destination, _("%(name)s was removed."))


def _destination(pk: int) -> AlertDestination:
    """One of the operators': people's own are their own affair."""
    return get_object_or_404(AlertDestination, pk=pk, owner=None)


def _changed(request: UserHttpRequest, destination: AlertDestination, text: str) -> HttpResponse:
    return changed(request, message=text % {"name": destination.name}, url=reverse("ops:alert-destinations"))
