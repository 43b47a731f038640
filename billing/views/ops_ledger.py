from django.http import HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.queries import ledger as queries
from oneapi_admin.lib.csv_export import csv_response
from oneapi_admin.lib.pagination import page_of


@operator_required
@require_safe
def ledger(request: UserHttpRequest) -> HttpResponse:
    form = queries.LedgerFilterForm(request.GET)
    entries = queries.filtered_entries(request.user, form)
    context = {"page": page_of(entries, cursor=request.GET.get("cursor")), "form": form}
    return TemplateResponse(request, "ops/ledger.html", context)


@operator_required
@require_safe
def ledger_export(request: UserHttpRequest) -> StreamingHttpResponse:
    entries = queries.filtered_entries(request.user, queries.LedgerFilterForm(request.GET))
    rows = queries.csv_rows(request.user, entries)
    return csv_response(
        filename=f"ledger-{timezone.now():%Y%m%d-%H%M%S}.csv", header=queries.CSV_HEADER, rows=rows
    )
