from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.prices import GroupPriceForm, ModelPriceForm
from billing.models import ModelPrice
from billing.queries import prices as queries
from billing.services import prices as services
from oneapi_admin.lib.http import changed, panel

_PRICES = ("input_price", "cached_input_price", "output_price", "request_price")


@operator_required
@require_safe
def prices(request: UserHttpRequest) -> HttpResponse:
    models = queries.PriceBook(at=timezone.now()).models()
    text, source = request.GET.get("q", "").strip().lower(), request.GET.get("source", "")
    context = {
        "rows": [row for row in models if text in row.name.lower() and source in ("", row.source)],
        "total": len(models),
        "refused": [row.name for row in models if row.refusing],
        "groups": queries.group_prices(),
    }
    return TemplateResponse(request, "ops/price_list.html", context)


@operator_required
@require_safe
def price_history(request: UserHttpRequest) -> HttpResponse:
    model = request.GET.get("model", "")
    return panel(request, "ops/price_history.html", {"model": model, "versions": queries.versions_of(model)})


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def price_set(request: UserHttpRequest) -> HttpResponse:
    form = ModelPriceForm(request.POST or None, initial=_in_force(request.GET.get("model", "")))
    if form.is_valid():
        try:
            services.set_model_price(actor=request.user, at=timezone.now(), **form.cleaned_data)
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            message = _("The price of %(model)s holds from the next call on.") % form.cleaned_data
            return changed(request, message=message, url=reverse("ops:prices"))
    return _panel(request, "ops/price_form.html", form)


@operator_required
@require_POST
def price_withdraw(request: UserHttpRequest) -> HttpResponse:
    model = request.POST.get("model", "")
    current = ModelPrice.objects.filter(model=model).order_by("-pk").first()
    if current is not None and not current.is_withdrawn:
        services.withdraw_model_price(actor=request.user, model=model, at=timezone.now())
        messages.success(request, _("Your price of %(model)s was withdrawn.") % {"model": model})
    return redirect("ops:prices")


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def group_set(request: UserHttpRequest) -> HttpResponse:
    names = {row.name: row.multiplier for row in queries.group_prices()}
    name = request.GET.get("group", "")
    form = GroupPriceForm(request.POST or None, initial={"group": name, "multiplier": names.get(name, "")})
    if form.is_valid():
        try:
            services.set_group_multiplier(actor=request.user, at=timezone.now(), **form.cleaned_data)
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            message = _("The multiplier of %(group)s holds from the next call on.") % form.cleaned_data
            return changed(request, message=message, url=reverse("ops:prices"))
    return _panel(request, "ops/group_form.html", form)


def _in_force(model: str) -> dict[str, Any]:
    """What the form starts with: the price that holds now, the operator's or the catalogue's."""
    price = ModelPrice.objects.filter(model=model, is_withdrawn=False).order_by("-pk").first()
    row = queries.PriceBook(at=timezone.now()).rate(model) if model else None
    if row is None:
        return {"model": model}
    if price is not None and row.version == f"operator:{price.pk}":
        fields = {name: getattr(price, name) for name in _PRICES}
        values = {name: None if value is None else queries.plain(value) for name, value in fields.items()}
        return {"model": model, "max_output_tokens": price.max_output_tokens, **values}
    return {"model": model, **queries.list_prices(row)}


def _panel(request: UserHttpRequest, template: str, form: Any) -> HttpResponse:
    return panel(request, template, {"form": form}, status=422 if form.errors else 200)
