from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.queries.users import groups
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import LIST_CHANGED, changed, panel, refused
from oneapi_admin.lib.pagination import page_of
from redemption import code_format, queries
from redemption.forms.batches import BatchForm, RevokeForm
from redemption.models import BatchState, BatchStatus, CodeBatch, CodeStatus
from redemption.services import batches as services
from redemption.services import making, sealed
from redemption.views.ops_downloads import download_choices

_DAYS_SHOWN = 90
"""Of the chart."""
_CODES_FOUND = 20


@operator_required
@require_safe
def batches(request: UserHttpRequest) -> HttpResponse:
    state, tag, now = request.GET.get("state", ""), _text(request.GET, "tag"), timezone.now()
    found = queries.batches(
        state=BatchState(state) if state in BatchState.values else None, at=now, tag=tag[:32]
    )
    page = page_of(found, cursor=request.GET.get("cursor"))
    return _list(request, page.items, is_filtered=bool(state or tag), next_cursor=page.next_cursor)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def find(request: UserHttpRequest) -> HttpResponse:
    """Batches by a part of their name, and codes; posted, since logs keep addresses and must keep no code."""
    text = _text(request.POST, "q")[:128]
    try:
        codes, problem = list(queries.codes_found(text)[:_CODES_FOUND]) if text else [], ""
    except code_format.CodeMistypedError as exc:
        codes, problem = [], str(exc) if isinstance(exc, code_format.WrongSymbolError) else ""
    else:
        if codes and len(code_format.normalized(text)) != code_format.HINT_SYMBOLS:
            url = reverse("ops:code-history", args=[codes[0].batch_id, codes[0].pk])
            return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    page = page_of(queries.batches(name=text), cursor=None)
    return _list(request, page.items, text=text, codes=codes, problem=problem, is_cut=bool(page.next_cursor))


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def batch_create(request: UserHttpRequest) -> HttpResponse:
    form = BatchForm(request.POST or None, groups=groups())
    if form.is_valid():
        now = timezone.now()
        try:
            batch = services.create_batch(
                actor=request.user, terms=form.terms(), at=now, key=form.cleaned_data["key"]
            )
        except (DomainError, ValidationError) as exc:
            form.refuse(exc)
        else:
            return _ordered(request, batch, now)
    context = {"form": form, "tags": queries.tags()}
    return panel(request, "ops/code_create.html", context, status=422 if form.errors else 200)


@operator_required
@require_safe
def batch_detail(request: UserHttpRequest, pk: int) -> HttpResponse:
    batch, now = _batch(pk), timezone.now()
    state = batch.state(now)
    hint = code_format.normalized(request.GET.get("q", ""))[-code_format.HINT_SYMBOLS :]
    found = queries.codes_of(batch, hint=hint, status=request.GET.get("status", ""))
    context = {
        "batch": batch,
        "state": state,
        "is_made": batch.ready_at is not None,
        "made": making.made_count(batch) if state == BatchState.CREATING else None,
        "funnel": queries.funnel(batch),
        "chart": _chart(batch),
        "is_readable": sealed.is_readable(batch=batch, at=now),
        "statuses": CodeStatus.choices,
        "page": page_of(found, cursor=request.GET.get("cursor")),
        **download_choices(batch),
    }
    return TemplateResponse(request, "ops/code_batch.html", context)


@operator_required
@require_safe
def batch_progress(request: UserHttpRequest, pk: int) -> HttpResponse:
    """How far it is; when there is nothing more to watch, the page is drawn anew."""
    batch = get_object_or_404(CodeBatch, pk=pk)
    made = batch.count if batch.ready_at else making.made_count(batch)
    context = {"batch": batch, "made": made}
    response = TemplateResponse(request, "ops/_code_progress.html", context)
    is_over = batch.status != BatchStatus.CREATING
    return trigger_client_event(response, LIST_CHANGED, {}) if is_over else response


@operator_required
@require_POST
def batch_cancel(request: UserHttpRequest, pk: int) -> HttpResponse:
    batch = _batch(pk)
    try:
        services.cancel_batch(actor=request.user, batch=batch)
    except DomainError as exc:
        return refused(request, exc, url=_page(batch))
    return _changed(request, batch, _("The batch “%(name)s” is cancelled: it has no codes."))


@operator_required
@require_POST
def batch_retry(request: UserHttpRequest, pk: int) -> HttpResponse:
    batch = _batch(pk)
    try:
        services.retry_batch(actor=request.user, batch=batch)
    except DomainError as exc:
        return refused(request, exc, url=_page(batch))
    return _changed(request, batch, _("The codes of “%(name)s” are being made once more."))


@operator_required
@require_POST
def batch_status(request: UserHttpRequest, pk: int) -> HttpResponse:
    batch, is_enabled = _batch(pk), request.POST.get("is_enabled") == "1"
    try:
        services.set_batch_status(actor=request.user, batch=batch, is_enabled=is_enabled)
    except DomainError as exc:
        return refused(request, exc, url=_page(batch))
    enabled = _("The codes of “%(name)s” can be redeemed again.")
    return _changed(
        request, batch, enabled if is_enabled else _("No code of “%(name)s” can be redeemed now.")
    )


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def batch_revoke(request: UserHttpRequest, pk: int) -> HttpResponse:
    batch = _batch(pk)
    form = RevokeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            services.revoke_batch(actor=request.user, batch=batch)
        except DomainError as exc:
            form.add_error(None, exc.full_text)
        else:
            return _changed(request, batch, _("The batch “%(name)s” is revoked."))
    context = {
        "batch": batch,
        "form": form,
        "funnel": queries.funnel(batch),
        "is_possible": batch.status in (BatchStatus.READY, BatchStatus.DISABLED),
    }
    return panel(request, "ops/code_revoke.html", context, status=422 if form.errors else 200)


def _text(data: QueryDict, name: str) -> str:
    """What somebody looks for; PostgreSQL knows no text with a NUL."""
    return data.get(name, "").replace("\0", "").strip()


def _batch(pk: int) -> CodeBatch:
    batch: CodeBatch = get_object_or_404(queries.batches(), pk=pk)
    return batch


def _page(batch: CodeBatch) -> str:
    return reverse("ops:code-detail", args=[batch.pk])


def _changed(request: UserHttpRequest, batch: CodeBatch, text: str) -> HttpResponse:
    return changed(request, message=text % {"name": batch.name}, url=_page(batch))


def _list(request: UserHttpRequest, found: list[CodeBatch], **more: Any) -> HttpResponse:
    now = timezone.now()
    context = {
        "rows": [(batch, batch.state(now)) for batch in found],
        "states": BatchState.choices,
        "tags": queries.tags(),
        **more,
    }
    return TemplateResponse(request, "ops/code_batches.html", context)


def _ordered(request: UserHttpRequest, batch: CodeBatch, at: datetime) -> HttpResponse:
    """Make few codes at once and many by a job, and go to where they are."""
    if batch.count > making.AT_ONCE:
        services.start_making(batch)
    else:
        making.make_codes(batch=batch, at=at)
        text = ngettext(
            "%(count)s code is made. Download it now.",
            "%(count)s codes are made. Download them now.",
            batch.count,
        )
        messages.success(request, text % {"count": batch.count})
    return HttpResponseClientRedirect(_page(batch)) if request.htmx else redirect(_page(batch))


def _chart(batch: CodeBatch) -> dict[str, Any]:
    days = list(queries.redeemed_by_day(batch))[-_DAYS_SHOWN:]
    return {
        "labels": [f"{day:%m-%d}" for day, _count in days],
        "series": [{"label": _("Redeemed so far"), "values": [count for _day, count in days]}],
    }
