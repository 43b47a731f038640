from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse as url_of
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from accounts.models import User
from billing.forms.corrections import AdjustForm, RefundForm, ReverseForm
from billing.models import Proposal, UsageRecord
from billing.queries.ledger import calls_of, entries_in_full
from billing.queries.usage import visible_usage
from billing.services import acts, reversals
from billing.services.approvals import submit
from billing.views.ops_approvals import proposed
from oneapi_admin.lib.http import changed, panel
from oneapi_admin.lib.quota import format_usd, to_usd


@operator_required
@require_safe
def entry_detail(request: UserHttpRequest, pk: int) -> HttpResponse:
    entry = get_object_or_404(entries_in_full(request.user), pk=pk)
    [plan] = reversals.preview(actor=request.user, entries=[entry])
    calls, more_calls = calls_of(entry)
    context = {"entry": entry, "plan": plan, "calls": calls, "more_calls": more_calls}
    return panel(request, "ops/ledger_entry.html", context)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def entry_reverse(request: UserHttpRequest, pk: int) -> HttpResponse:
    entry = get_object_or_404(entries_in_full(request.user), pk=pk)
    [plan] = reversals.preview(actor=request.user, entries=[entry])
    form = ReverseForm(request.POST or None, is_short=plan.is_possible_in_part)
    if form.is_valid():
        done = form.attempt(
            lambda: submit(
                actor=request.user,
                act=acts.Reversal(
                    entry_id=entry.pk,
                    memo=form.cleaned_data["memo"],
                    allow_partial=form.cleaned_data.get("allow_partial", False),
                    idempotency_key=form.idempotency_key,
                ),
                at=timezone.now(),
            )
        )
        if isinstance(done, Proposal):
            return proposed(request, done)
        if done is not None:
            message = _("Entry %(number)s was reversed: %(amount)s.")
            words = {"number": entry.pk, "amount": format_usd(done.amount, signed=True)}
            return changed(request, message=message % words, url=url_of("ops:ledger"))
    return _panel(request, "ops/ledger_reverse.html", form, entry=entry, plan=plan)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def call_refund(request: UserHttpRequest, pk: int) -> HttpResponse:
    call = get_object_or_404(_refundable(request.user), pk=pk)
    left = call.quota - call.refunded_quota
    initial = {"amount": f"{to_usd(left).normalize():f}"}
    form = RefundForm(request.POST or None, initial=initial)
    if form.is_valid():
        done = form.attempt(
            lambda: submit(
                actor=request.user,
                act=acts.Refund(
                    call_id=call.pk,
                    quota=form.cleaned_data["quota"],
                    memo=form.cleaned_data["memo"],
                    idempotency_key=form.idempotency_key,
                ),
                at=timezone.now(),
            ),
            field="amount",
        )
        if isinstance(done, Proposal):
            return proposed(request, done)
        if done is not None:
            message = _("%(amount)s of the call were refunded.") % {"amount": format_usd(done.amount)}
            return changed(request, message=message, url=url_of("ops:user-detail", args=[call.account_id]))
    return _panel(request, "ops/call_refund.html", form, call=call, left=left)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def user_adjust(request: UserHttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(User.objects.manageable_by(request.user), pk=pk)
    form = AdjustForm(request.POST or None)
    if form.is_valid():
        done = form.attempt(
            lambda: submit(
                actor=request.user,
                act=acts.Adjustment(
                    user_id=person.pk,
                    quota=form.signed_quota,
                    memo=form.cleaned_data["memo"],
                    idempotency_key=form.idempotency_key,
                ),
                at=timezone.now(),
            ),
            field="amount",
        )
        if isinstance(done, Proposal):
            return proposed(request, done)
        if done is not None:
            words = {"name": person.name, "amount": format_usd(done.amount, signed=True)}
            message = _("The quota of %(name)s was adjusted by %(amount)s.") % words
            return changed(request, message=message, url=url_of("ops:user-detail", args=[pk]))
    return _panel(request, "ops/user_adjust.html", form, person=person)


def _refundable(actor: User) -> QuerySet[UsageRecord]:
    """Calls of those whom the operator may top up."""
    people = User.objects.manageable_by(actor).values("pk")
    return visible_usage(actor).select_related("account__user").filter(account__in=people)


def _panel(request: UserHttpRequest, template: str, form: Any, **context: Any) -> HttpResponse:
    return panel(request, template, {"form": form, **context}, status=422 if form.errors else 200)
