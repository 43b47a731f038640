from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.balances import BalanceForm, IntervalFilterForm
from billing.models import Channel, Reconciliation, ReconciliationStatus
from billing.queries import reconciliations as queries
from billing.queries.forecasts import balance_forecasts
from billing.queries.funds import Funds, funds_of
from billing.services.balances import enter_balance
from billing.services.reconciling import percent_of
from billing.services.usage_reports import compare_usage, has_usage_report
from oneapi_admin.lib.csv_export import csv_response
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import changed, panel
from oneapi_admin.lib.pagination import page_of

SHOWN_CALLS = 50


@operator_required
@require_safe
def reconciliation(request: UserHttpRequest) -> HttpResponse:
    """How it stands with the money of every channel, the worst first."""
    now = timezone.now()
    funds = funds_of(list(Channel.objects.order_by("name", "pk")), at=now)
    funds.sort(key=lambda one: one.severity)
    forecasts = balance_forecasts({one.channel.pk: one.snapshots for one in funds}, at=now)
    rows = [{"funds": one, "forecast": forecasts[one.channel.pk]} for one in funds]
    return TemplateResponse(request, "ops/reconciliation.html", {"rows": rows, "now": now})


@operator_required
@require_safe
def channel_reconciliation(request: UserHttpRequest, pk: int) -> HttpResponse:
    """One channel: its balances, and interval by interval what was taken and metered."""
    channel, now = get_object_or_404(Channel, pk=pk), timezone.now()
    [funds] = funds_of([channel], at=now)
    form = IntervalFilterForm(request.GET)
    found = queries.reconciliations(channel_id=pk, **form.conditions())
    context = {
        "channel": channel,
        "funds": funds,
        "forecast": balance_forecasts({pk: funds.snapshots}, at=now)[pk],
        "now": now,
        "form": form,
        "statuses": ReconciliationStatus.choices,
        "page": page_of(found, cursor=request.GET.get("cursor")),
        "is_filtered": any(request.GET.get(name) for name in ("status", "since", "until")),
        **_charts(funds),
    }
    return TemplateResponse(request, "ops/reconciliation_channel.html", context)


@operator_required
@require_safe
def channel_reconciliation_export(request: UserHttpRequest, pk: int) -> StreamingHttpResponse:
    channel = get_object_or_404(Channel, pk=pk)
    form = IntervalFilterForm(request.GET)
    found = queries.reconciliations(channel_id=channel.pk, **form.conditions())
    return csv_response(
        filename=f"reconciliation-{pk}-{timezone.now():%Y%m%d-%H%M%S}.csv",
        header=queries.CSV_HEADER,
        rows=queries.csv_rows(found),
    )


@operator_required
@require_safe
def interval(request: UserHttpRequest, pk: int) -> HttpResponse:
    """One interval with its calls, and what a drift may come from."""
    row = get_object_or_404(Reconciliation.objects.select_related("channel", "first", "last"), pk=pk)
    calls = queries.describe_calls(row)
    context = {
        "row": row,
        "percent": percent_of(row),
        "calls": calls,
        "causes": [cause.label for cause in queries.causes(row, calls)],
        "records": queries.calls_of(row)[:SHOWN_CALLS],
        "has_usage_report": has_usage_report(row.channel),
        **(_compared_usage(row) if request.GET.get("usage") else {}),
    }
    return panel(request, "ops/reconciliation_interval.html", context)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def balance_enter(request: UserHttpRequest, pk: int) -> HttpResponse:
    """Enter what the provider's console says, where no key is told."""
    channel = get_object_or_404(Channel, pk=pk)
    form = BalanceForm(request.POST or None)
    if form.is_valid():
        try:
            enter_balance(
                actor=request.user,
                channel=channel,
                remaining=form.cleaned_data["remaining"],
                currency=form.cleaned_data["currency"],
                at=timezone.now(),
            )
        except DomainError as exc:
            form.add_error(None, exc.full_text)
        else:
            return changed(
                request,
                message=_("The balance of %(name)s was entered.") % {"name": channel.name},
                url=reverse("ops:reconciliation-channel", args=[pk]),
            )
    context = {"form": form, "channel": channel}
    return panel(request, "ops/balance_enter.html", context, status=422 if form.errors else 200)


def _compared_usage(row: Reconciliation) -> dict[str, Any]:
    """What the provider's report of tokens says, or why it says nothing."""
    try:
        return {"comparison": compare_usage(row=row, at=timezone.now())}
    except DomainError as exc:
        return {"refusal": exc}


def _charts(funds: Funds) -> dict[str, Any]:
    """The newest intervals of what is shown first of a channel's money."""
    newest = funds.balance or funds.spend
    if newest is None:
        return {"chart": None, "unit": ""}
    points = queries.chart(funds.channel, kind=newest.kind, currency=newest.currency)
    labels = [f"{timezone.localtime(time):%m-%d %H:%M}" for time in points["times"]]
    return {
        "unit": "$" if newest.currency == "USD" else "",
        "chart": {
            "labels": labels,
            "balance": [{"label": _("Balance"), "values": points["balance"]}],
            "taken": [
                {"label": _("Taken by the provider"), "values": points["taken"]},
                {"label": _("Metered by us"), "values": points["metered"]},
                {"label": _("Drift"), "values": points["drift"]},
            ],
        },
    }
