from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from oneapi_admin.health.codes import guessers
from oneapi_admin.health.report import take_report


@never_cache
@operator_required
@require_safe
def health(request: UserHttpRequest) -> HttpResponse:
    at = timezone.now()
    context = {"report": take_report(at=at), "guessers": guessers(at)}
    return TemplateResponse(request, "ops/health.html", context)


@never_cache
@operator_required
@require_safe
def health_summary(request: UserHttpRequest) -> HttpResponse:
    report = take_report(at=timezone.now())
    return TemplateResponse(request, "ops/_health_summary.html", {"report": report})
