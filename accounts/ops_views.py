from django.db.models import QuerySet
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from accounts.decorators import operator_required
from accounts.forms import AuditFilterForm
from accounts.http import UserHttpRequest
from accounts.models import AuditEvent
from accounts.queries import SeenEvent, audit_events
from oneapi_admin.lib.pagination import page_of


@operator_required
@require_safe
def audit_log(request: UserHttpRequest) -> HttpResponse:
    form = AuditFilterForm(request.GET)
    events: QuerySet[AuditEvent] = AuditEvent.objects.none()
    if form.is_valid():  # a filter that cannot be read leaves none
        events = audit_events(viewer=request.user, filters=form.filters)
    page = page_of(events, cursor=request.GET.get("cursor"))
    rows = [SeenEvent.by(request.user, event) for event in page.items]
    return TemplateResponse(request, "ops/audit.html", {"form": form, "page": page, "rows": rows})
