from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.approvals import RejectForm, ThresholdForm
from billing.models import Decision, Proposal
from billing.queries.approvals import asked, operator_count, visible_proposals, waiting_count
from billing.services import approvals as services
from billing.services.approval_settings import approval_threshold, set_approval_threshold
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import LIST_CHANGED, changed, panel
from oneapi_admin.lib.pagination import page_of
from oneapi_admin.lib.quota import format_usd, to_usd


@operator_required
@require_safe
def approvals(request: UserHttpRequest) -> HttpResponse:
    """What waits, or with ``?show=closed`` what does not any more."""
    now, is_closed = timezone.now(), request.GET.get("show") == "closed"
    proposals = visible_proposals(request.user)
    shown = proposals.closed(now) if is_closed else proposals.open(now)
    context = {
        "page": page_of(shown, cursor=request.GET.get("cursor")),
        "is_closed": is_closed,
        "threshold": approval_threshold(),
        "is_alone": operator_count() <= 1,
    }
    return TemplateResponse(request, "ops/approvals.html", context)


@operator_required
@require_safe
def waiting(request: UserHttpRequest) -> HttpResponse:
    """How many wait for who asks, for the menu."""
    count = waiting_count(request.user, at=timezone.now())
    return TemplateResponse(request, "ops/_waiting.html", {"count": count})


@operator_required
@require_safe
def approval(request: UserHttpRequest, pk: int) -> HttpResponse:
    return _detail(request, _visible(request, pk))


@operator_required
@require_POST
def approve(request: UserHttpRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, services.approve, _("Proposal %(number)s was approved and done."))


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def reject(request: UserHttpRequest, pk: int) -> HttpResponse:
    proposal = _visible(request, pk)
    form = RejectForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        reject_with_note = partial(services.reject, **form.cleaned_data)
        return _decide(request, pk, reject_with_note, _("Proposal %(number)s was rejected."))
    context = {"form": form, "proposal": proposal}
    return panel(request, "ops/approval_reject.html", context, status=422 if form.errors else 200)


@operator_required
@require_POST
def withdraw(request: UserHttpRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, services.withdraw, _("Proposal %(number)s was withdrawn."))


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def threshold(request: UserHttpRequest) -> HttpResponse:
    if not request.user.is_root:
        raise Http404
    current = approval_threshold()
    initial = {} if current is None else {"amount": f"{to_usd(current).normalize():f}"}
    form = ThresholdForm(request.POST or None, initial=initial)
    if form.is_valid():
        quota = form.cleaned_data["quota"]
        set_approval_threshold(actor=request.user, threshold=quota)
        return changed(request, message=_threshold_message(quota), url=reverse("ops:approvals"))
    status = 422 if form.errors else 200
    return panel(request, "ops/approval_threshold.html", {"form": form}, status=status)


def proposed(request: UserHttpRequest, proposal: Proposal) -> HttpResponse:
    """The answer to a form whose movement another operator has to approve."""
    if not request.htmx:
        messages.info(request, _("Nothing has moved yet: another operator has to approve this."))
        return redirect("ops:approval", proposal.pk)
    response = _detail(request, _visible(request, proposal.pk))
    return trigger_client_event(response, LIST_CHANGED, {})


def _visible(request: UserHttpRequest, pk: int) -> Proposal:
    return get_object_or_404(visible_proposals(request.user), pk=pk)


def _detail(
    request: UserHttpRequest, proposal: Proposal, *, refusal: DomainError | None = None
) -> HttpResponse:
    context: dict[str, Any] = {
        "proposal": proposal,
        "asked": asked(request.user, proposal),
        "entry_ids": list(proposal.approved_entries.order_by("pk").values_list("pk", flat=True)[:2]),
        "is_own": proposal.proposer_id == request.user.pk,
        "url": request.build_absolute_uri(reverse("ops:approval", args=[proposal.pk])),
        "refusal": refusal,
    }
    return panel(request, "ops/approval.html", context, status=422 if refusal else 200)


def _decide(
    request: UserHttpRequest, pk: int, decision: Callable[..., Decision], message: str
) -> HttpResponse:
    """Let a service decide about a proposal; if it refuses to, show why beside the proposal as it is now."""
    try:
        decision(actor=request.user, proposal=_visible(request, pk), at=timezone.now())
    except DomainError as exc:
        return _detail(request, _visible(request, pk), refusal=exc)
    return changed(request, message=message % {"number": pk}, url=reverse("ops:approvals"))


def _threshold_message(quota: int | None) -> str:
    if quota is None:
        return _("Operators move any amount alone now.")
    return _("More than %(amount)s needs two operators now.") % {"amount": format_usd(quota)}
