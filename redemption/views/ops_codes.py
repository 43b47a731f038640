from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from accounts.queries import SeenEvent
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import changed, refused
from oneapi_admin.lib.pagination import page_of
from redemption import queries
from redemption.models import RedemptionCode
from redemption.services.codes import set_code_status

_EVENTS_SHOWN = 20


@operator_required
@require_safe
def code_history(request: UserHttpRequest, batch_pk: int, pk: int) -> HttpResponse:
    code = _code(batch_pk, pk)
    events = list(queries.events_of(code, viewer=request.user)[: _EVENTS_SHOWN + 1])
    context = {
        "code": code,
        "batch": code.batch,
        "state": code.batch.state(timezone.now()),
        "page": page_of(
            queries.redemptions(request.user).filter(code=code), cursor=request.GET.get("cursor")
        ),
        "rows": [SeenEvent.by(request.user, event) for event in events[:_EVENTS_SHOWN]],
        "has_more": len(events) > _EVENTS_SHOWN,
    }
    return TemplateResponse(request, "ops/code_history.html", context)


@operator_required
@require_safe
def code_number(request: UserHttpRequest, pk: int) -> HttpResponse:  # noqa: ARG001
    """Where entries lead, which know a code by its number alone."""
    code = get_object_or_404(RedemptionCode, pk=pk)
    return redirect("ops:code-history", code.batch_id, code.pk)


@operator_required
@require_POST
def code_status(request: UserHttpRequest, batch_pk: int, pk: int) -> HttpResponse:
    code = _code(batch_pk, pk)
    is_enabled = request.POST.get("is_enabled") == "1"
    url = reverse("ops:code-history", args=[batch_pk, pk])
    try:
        set_code_status(actor=request.user, code=code, is_enabled=is_enabled)
    except DomainError as exc:
        return refused(request, exc, url=url)
    enabled = _("The code …%(hint)s can be redeemed again.")
    message = enabled if is_enabled else _("The code …%(hint)s can no longer be redeemed.")
    return changed(request, message=message % {"hint": code.hint}, url=url)


def _code(batch_pk: int, pk: int) -> RedemptionCode:
    codes = RedemptionCode.objects.select_related("batch__created_by", "redeemed_by")
    code: RedemptionCode = get_object_or_404(codes, pk=pk, batch_id=batch_pk)
    return code
