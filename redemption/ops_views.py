from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import LIST_CHANGED, changed, panel
from oneapi_admin.lib.pagination import page_of
from redemption import queries, services
from redemption.models import CodeStatus, RedemptionCode
from redemption.ops_forms import BatchForm


@operator_required
@require_safe
def codes(request: UserHttpRequest) -> HttpResponse:
    batches = queries.batches()
    name = request.GET.get("q", "").strip()
    if name:
        batches = batches.filter(name__icontains=name)
    page = page_of(batches, cursor=request.GET.get("cursor"))
    return TemplateResponse(request, "ops/code_batches.html", {"page": page})


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def code_create(request: UserHttpRequest) -> HttpResponse:
    form = BatchForm(request.POST or None)
    if form.is_valid():
        data = form.cleaned_data
        try:
            batch, plaintexts = services.create_batch(
                actor=request.user,
                name=data["name"],
                quota=data["quota"],
                count=data["count"],
                at=timezone.now(),
            )
        except (DomainError, ValidationError) as exc:
            form.add_error(None, exc.full_text if isinstance(exc, DomainError) else exc)
        else:
            context = {"batch": batch, "codes": plaintexts, "text": "\n".join(plaintexts)}
            return trigger_client_event(panel(request, "ops/code_created.html", context), LIST_CHANGED, {})
    return panel(request, "ops/code_create.html", {"form": form}, status=422 if form.errors else 200)


@operator_required
@require_safe
def code_detail(request: UserHttpRequest, pk: int) -> HttpResponse:
    batch = get_object_or_404(queries.batches(), pk=pk)
    found = batch.codes.select_related("redeemed_by")
    hint, status = request.GET.get("q", "").strip()[-4:].upper(), request.GET.get("status", "")
    if hint:
        found = found.filter(hint__endswith=hint)
    if status in CodeStatus.values:
        found = found.filter(status=status)
    page = page_of(found, cursor=request.GET.get("cursor"))
    return TemplateResponse(
        request, "ops/code_batch.html", {"batch": batch, "page": page, "statuses": CodeStatus.choices}
    )


@operator_required
@require_POST
def code_status(request: UserHttpRequest, batch_pk: int, pk: int) -> HttpResponse:
    code = get_object_or_404(RedemptionCode, pk=pk, batch_id=batch_pk)
    is_enabled = request.POST.get("is_enabled") == "1"
    words = {"hint": code.hint}
    if not services.set_code_status(actor=request.user, code=code, is_enabled=is_enabled):
        message = _("The code …%(hint)s was redeemed meanwhile and stays as it is.") % words
    elif is_enabled:
        message = _("The code …%(hint)s can be redeemed again.") % words
    else:
        message = _("The code …%(hint)s can no longer be redeemed.") % words
    return changed(request, message=message, url=reverse("ops:code-detail", args=[batch_pk]))
