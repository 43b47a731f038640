from datetime import timedelta

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.queries import channels as channel_queries
from billing.queries import dashboard as queries
from billing.services import audit


@operator_required
@require_safe
def dashboard(request: UserHttpRequest) -> HttpResponse:
    now = timezone.now()
    rows = channel_queries.channel_rows(at=now)
    context = {
        "steps": queries.first_steps(),
        "sides": queries.sides(rows, at=now),
        "today": queries.use_since(queries.start_of_day(now)),
        "last_day": queries.use_since(now - timedelta(hours=24)),
        "chart": queries.chart(at=now),
        "top_models": queries.top_models(
            since=queries.start_of_day(now) - timedelta(days=queries.CHART_DAYS - 1)
        ),
        "channels": channel_queries.with_forecasts(rows, at=now),
        "now": now,
        "audit": audit.last_result(),
        "credits": queries.recent_credits(request.user),
        "base_url": request.build_absolute_uri("/v1"),
    }
    return TemplateResponse(request, "ops/dashboard.html", context)
