from datetime import UTC, date

from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.rates import ExchangeRateForm
from billing.queries import rates as queries
from billing.services import rates as services
from oneapi_admin.lib.http import changed, panel


@operator_required
@require_safe
def rates(request: UserHttpRequest) -> HttpResponse:
    rows = queries.current_rates(timezone.now())
    context = {"rows": rows, "missing": [row.currency for row in rows if row.is_missing]}
    return TemplateResponse(request, "ops/rate_list.html", context)


@operator_required
@require_safe
def rate_history(request: UserHttpRequest) -> HttpResponse:
    currency = request.GET.get("currency", "")
    current = queries.version_on(currency, _today())
    context = {"currency": currency, "versions": queries.versions_of(currency), "current": current}
    return panel(request, "ops/rate_history.html", context)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def rate_set(request: UserHttpRequest) -> HttpResponse:
    initial = {"currency": request.GET.get("currency", ""), "valid_from": _today()}
    form = ExchangeRateForm(request.POST or None, initial=initial)
    if form.is_valid():
        try:
            services.set_rate(actor=request.user, at=timezone.now(), **form.cleaned_data)
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            message = _("The rate of %(currency)s holds from %(valid_from)s on.") % form.cleaned_data
            return changed(request, message=message, url=reverse("ops:rates"))
    return panel(request, "ops/rate_form.html", {"form": form}, status=422 if form.errors else 200)


def _today() -> date:
    return timezone.now().astimezone(UTC).date()
