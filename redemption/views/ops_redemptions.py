from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from oneapi_admin.lib.pagination import page_by_time
from redemption import queries
from redemption.forms.redemptions import RedemptionFilterForm
from redemption.models import CodeBatch


@operator_required
@require_safe
def redemptions(request: UserHttpRequest) -> HttpResponse:
    form = RedemptionFilterForm(request.GET)
    is_readable = form.is_valid()  # a filter that cannot be read leaves none
    filters = form.filters if is_readable else {}
    found = queries.redemptions(request.user, **filters)
    page = page_by_time(
        found if is_readable else found.none(), field="created_at", cursor=request.GET.get("cursor")
    )
    context = {
        "form": form,
        "page": page,
        "batch": CodeBatch.objects.filter(pk=filters.get("batch_id") or 0).first(),
        "is_filtered": any(filters.values()) or not is_readable,
    }
    return TemplateResponse(request, "ops/code_redemptions.html", context)
