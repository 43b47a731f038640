"""A person's own movements of quota."""

from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.http import UserHttpRequest
from billing.forms.filters import StatementFilterForm
from billing.models import LedgerEntry
from billing.queries.statement import balances_of, statement_lines, statement_of
from oneapi_admin.lib.csv_export import csv_response
from oneapi_admin.lib.pagination import page_of, pages_of
from oneapi_admin.lib.quota import to_usd

_COLUMNS = ("id", "time", "kind", "text", "note", "quota", "usd", "balance_after_quota", "balance_after_usd")


@login_required
@require_safe
def statement(request: UserHttpRequest) -> HttpResponse:
    user = request.user
    form = StatementFilterForm(request.GET)
    if not form.is_valid():
        return TemplateResponse(request, "portal/statement.html", {"form": form}, status=422)
    page = page_of(statement_of(user=user, filters=form.filters), cursor=request.GET.get("cursor"))
    context = {
        "form": form,
        "filters": form.filters,
        "balances": balances_of(user=user, filters=form.filters),
        "lines": statement_lines(page.items),
        "next_cursor": page.next_cursor,
    }
    return TemplateResponse(request, "portal/statement.html", context)


@login_required
@require_safe
def statement_export(request: UserHttpRequest) -> HttpResponseBase:
    form = StatementFilterForm(request.GET)
    if not form.is_valid():
        return redirect(f"{reverse('portal:statement')}?{request.GET.urlencode()}")
    pages = pages_of(statement_of(user=request.user, filters=form.filters))
    return csv_response(filename="statement.csv", header=_COLUMNS, rows=_rows(pages))


def _rows(pages: Iterator[list[LedgerEntry]]) -> Iterator[list[object]]:
    for page in pages:
        for line in statement_lines(page):
            entry = line.entry
            amounts = (entry.amount, to_usd(entry.amount), entry.balance_after, to_usd(entry.balance_after))
            yield [entry.pk, entry.created_at, entry.kind, line.text, line.note, *amounts]
