"""A person's own calls."""

from collections.abc import Iterator

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.http import UserHttpRequest
from billing.forms.filters import UsageFilterForm
from billing.models import UsageRecord
from billing.queries.usage import price_words, usage_of, usage_totals, used_names, with_refunds
from oneapi_admin.lib.csv_export import csv_response
from oneapi_admin.lib.http import panel
from oneapi_admin.lib.pagination import page_of, pages_of
from oneapi_admin.lib.quota import to_usd

_COLUMNS = (
    "created_at",
    "model",
    "token_name",
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "quota",
    "duration_ms",
    "first_byte_ms",
    "status",
    "http_status",
    "usage_source",
    "request_id",
)


@login_required
@require_safe
def usage(request: UserHttpRequest) -> HttpResponse:
    user = request.user
    form = UsageFilterForm(request.GET, names=used_names(user=user))
    if not form.is_valid():
        return TemplateResponse(request, "portal/usage.html", {"form": form}, status=422)
    page = page_of(usage_of(user=user, filters=form.filters), cursor=request.GET.get("cursor"))
    context = {
        "form": form,
        "calls": page.items,
        "next_cursor": page.next_cursor,
        "totals": usage_totals(user=user, filters=form.filters),
    }
    return TemplateResponse(request, "portal/usage.html", context)


@login_required
@require_safe
def usage_detail(request: UserHttpRequest, pk: int) -> HttpResponse:
    call = get_object_or_404(with_refunds(UsageRecord.objects.filter(account_id=request.user.pk)), pk=pk)
    context = {"call": call, "price": price_words(call.price_version)}
    return panel(request, "portal/usage_detail.html", context)


@login_required
@require_safe
def usage_export(request: UserHttpRequest) -> HttpResponseBase:
    form = UsageFilterForm(request.GET, names=used_names(user=request.user))
    if not form.is_valid():
        return redirect(f"{reverse('portal:usage')}?{request.GET.urlencode()}")
    pages = pages_of(usage_of(user=request.user, filters=form.filters))
    return csv_response(
        filename="usage.csv", header=(*_COLUMNS, "charged_usd", "refunded_quota"), rows=_rows(pages)
    )


def _rows(pages: Iterator[list[UsageRecord]]) -> Iterator[list[object]]:
    for page in pages:
        for call in page:
            yield [*(getattr(call, column) for column in _COLUMNS), to_usd(call.quota), call.refunded_quota]
