from datetime import timedelta

from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.queries import alerts as alert_queries
from billing.queries import channels as channel_queries
from billing.queries import dashboard as queries
from billing.queries.alert_lines import AlertLine
from billing.queries.channel_bars import bars_of
from billing.services import audit

_ALERTS = 5
_MOST_COUNTED = 1000


@operator_required
@require_safe
def dashboard(request: UserHttpRequest) -> HttpResponse:
    now = timezone.now()
    rows = channel_queries.channel_rows(at=now)
    sides = queries.sides(rows, at=now)
    open_alerts = alert_queries.operators_alerts(is_open=True, viewer=request.user)
    context = {
        "steps": queries.first_steps(),
        "sides": sides,
        "today": queries.use_since(queries.start_of_day(now)),
        "last_day": queries.use_since(now - timedelta(hours=24)),
        "chart": queries.chart(at=now),
        "top_models": queries.top_models(
            since=queries.start_of_day(now) - timedelta(days=queries.CHART_DAYS - 1)
        ),
        "channels": bars_of(channel_queries.with_forecasts(rows, at=now), balances=sides.by_channel, at=now),
        "alerts": [
            AlertLine(alert=alert, reader=request.user, counts={}, url="")
            for alert in open_alerts.order_by("-pk")[:_ALERTS]
        ],
        "open_alerts": open_alerts.order_by()[:_MOST_COUNTED].count(),
        "now": now,
        "audit": audit.last_result(),
        "credits": queries.recent_credits(request.user),
        "base_url": request.build_absolute_uri("/v1"),
    }
    return TemplateResponse(request, "ops/dashboard.html", context)
