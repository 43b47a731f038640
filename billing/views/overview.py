"""The first page: what is left, what was used, and what to do next."""

from datetime import UTC
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.http import UserHttpRequest
from accounts.models import User
from billing.models import LedgerEntry, UsageRecord
from billing.queries import overview as queries
from billing.queries.forecasts import account_forecast
from billing.queries.statement import statement_lines
from oneapi_admin.lib.quota import to_usd

_NEWEST = 5
_EXAMPLE_MODEL = "gpt-4o-mini"


@login_required
@require_safe
def overview(request: UserHttpRequest) -> HttpResponse:
    user, at = request.user, timezone.now()
    account = queries.account_of(user=user)
    days = queries.daily_use(user=user, today=at.astimezone(UTC).date())
    models = queries.available_models(group=user.group)
    context = {
        "account": account,
        "forecast": account_forecast(account, at=at),
        "at": at,
        "tokens": queries.token_summary(user=user),
        "models": models,
        "upstream": queries.upstream_funds(at=at) if user.is_operator else None,
        "base_url": base_url(request),
        "example_model": models[0] if models else _EXAMPLE_MODEL,
        **_chart(days),
        **_newest(user),
    }
    return TemplateResponse(request, "portal/overview.html", context)


def base_url(request: HttpRequest) -> str:
    """Where programs send their calls, without the final slash."""
    return f"{settings.BASE_URL or request.build_absolute_uri('/').rstrip('/')}/v1"


def _chart(days: list[queries.DayUse]) -> dict[str, Any]:
    return {
        "today": days[-1],
        "chart_labels": [f"{day.day:%m-%d}" for day in days],
        "chart_series": [{"label": _("Spent"), "values": [float(to_usd(day.quota)) for day in days]}],
        "chart_total": sum(day.quota for day in days),
    }


def _newest(user: User) -> dict[str, Any]:
    entries = list(LedgerEntry.objects.filter(account_id=user.pk).order_by("-pk")[:_NEWEST])
    calls = UsageRecord.objects.filter(account_id=user.pk).order_by("-pk")[:_NEWEST]
    return {"movements": statement_lines(entries), "calls": list(calls)}
