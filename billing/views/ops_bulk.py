from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import trigger_client_event

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.bulk import UndoForm
from billing.models import BulkTopUp, Proposal
from billing.services.acts import BulkUndo
from billing.services.approvals import submit
from billing.services.bulk_undo import Undone, preview_undo
from billing.services.reversals import AlreadyReversedError
from billing.views.ops_approvals import proposed
from oneapi_admin.lib.http import LIST_CHANGED, panel
from oneapi_admin.lib.pagination import page_of

SHOWN = 50
"""Items told apart; the sums are of all."""


@operator_required
@require_safe
def bulk_top_ups(request: UserHttpRequest) -> HttpResponse:
    runs = BulkTopUp.objects.visible_to(request.user).with_reversals().select_related("actor")
    page = page_of(runs, cursor=request.GET.get("cursor"))
    return TemplateResponse(request, "ops/bulk_top_ups.html", {"page": page})


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def bulk_undo(request: UserHttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(BulkTopUp.objects.visible_to(request.user), pk=pk)
    form = UndoForm(request.POST or None)
    if form.is_valid():
        act = BulkUndo(
            bulk_top_up_id=run.pk,
            memo=form.cleaned_data["memo"],
            allow_partial=form.cleaned_data["allow_partial"],
            idempotency_key=form.idempotency_key,
        )
        done = form.attempt(lambda: submit(actor=request.user, act=act, at=timezone.now()))
        if isinstance(done, Proposal):
            return proposed(request, done)
        if done is not None:
            response = panel(request, "ops/bulk_undone.html", {"run": run, **_told(done)})
            return trigger_client_event(response, LIST_CHANGED, {})
    looked = preview_undo(actor=request.user, run=run, allow_partial=True)
    context = {"run": run, "form": form, **_told(looked)}
    return panel(request, "ops/bulk_undo.html", context, status=422 if form.errors else 200)


def _told(items: list[Undone]) -> dict[str, object]:
    """The sums of all items but those that were taken back before, and those that need attention."""
    now = [item for item in items if not isinstance(item.refusal, AlreadyReversedError)]
    odd = [item for item in now if item.refusal or item.shortfall]
    parts = [item.amount for item in odd if item.amount]
    total = sum(item.amount for item in now)
    return {
        "before_count": len(items) - len(now),
        "done_count": sum(item.refusal is None for item in now),
        "refused_count": sum(item.refusal is not None for item in now),
        "full_count": len(now) - len(odd),
        "full_total": total - sum(parts),
        "part_count": len(parts),
        "part_total": sum(parts),
        "total": total,
        "shortfall": sum(item.shortfall for item in now),
        "odd": odd[:SHOWN],
        "more_odd": max(0, len(odd) - SHOWN),
    }
