from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.models import DeliveryStatus
from billing.queries import alerts as queries
from billing.queries.alert_lines import alert_lines
from billing.services.alerts.usual import missing_kinds
from oneapi_admin.lib.http import panel
from oneapi_admin.lib.pagination import page_of


@operator_required
@require_safe
def alerts(request: UserHttpRequest) -> HttpResponse:
    chosen, is_open = request.GET.get("rule", ""), request.GET.get("state") != "all"
    rule = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) <= 18 else None
    page = page_of(
        queries.operators_alerts(is_open=is_open, rule=rule, viewer=request.user),
        cursor=request.GET.get("cursor"),
    )
    context: dict[str, Any] = {
        "lines": alert_lines(page.items, reader=request.user),
        "next_cursor": page.next_cursor,
        "rules": queries.rules_of(None, viewer=request.user).order_by("name", "pk").values_list("pk", "name"),
        "chosen_rule": rule,
        "is_open": is_open,
    }
    if not page.items:
        context["missing"] = missing_kinds()
    return TemplateResponse(request, "ops/alert_list.html", context)


@operator_required
@require_safe
def alert(request: UserHttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(queries.operators_alerts(viewer=request.user), pk=pk)
    [line] = alert_lines([found], reader=request.user)
    context = {"line": line, "alert": found, "deliveries": queries.deliveries_of(found)}
    return panel(request, "ops/alert.html", context)


@operator_required
@require_safe
def alert_deliveries(request: UserHttpRequest) -> HttpResponse:
    deliveries = queries.operators_deliveries(status=request.GET.get("status", ""), viewer=request.user)
    page = page_of(deliveries, cursor=request.GET.get("cursor"))
    alerts_of_page = [delivery.alert for delivery in page.items]
    context = {
        "rows": list(zip(page.items, alert_lines(alerts_of_page, reader=request.user), strict=True)),
        "next_cursor": page.next_cursor,
        "statuses": DeliveryStatus.choices,
        "has_pending": any(delivery.status == DeliveryStatus.PENDING for delivery in page.items),
    }
    return TemplateResponse(request, "ops/alert_deliveries.html", context)
