"""Turning a code into quota."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from django_htmx.http import trigger_client_event

from accounts.http import UserHttpRequest
from billing.models import EntryKind, LedgerEntry
from billing.queries.ledger import with_reversals
from billing.queries.overview import account_of
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import LIST_CHANGED
from oneapi_admin.lib.quota import format_usd
from redemption.forms.redeem import RedeemForm
from redemption.services import attempts, redeeming

_NEWEST = 5


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def redeem(request: UserHttpRequest) -> HttpResponse:
    """A link may fill a code in; only the button redeems it."""
    if request.method != "POST":
        code = request.GET.get("code", "")[:128]
        return _answer(request, RedeemForm(initial={"code": code}), is_from_link=bool(code))
    form, refusal = RedeemForm(request.POST), None
    if form.is_valid():
        code, address, at = form.cleaned_data["code"], request.META.get("REMOTE_ADDR"), timezone.now()
        try:
            with attempts.counted(user=request.user, address=address, at=at):
                entry = redeeming.redeem(code=code, user=request.user, at=at)
        except DomainError as exc:
            refusal = exc
            form.add_error("code", exc.full_text)
        else:
            return _success(request, entry)
    response = _answer(request, form, status=422)
    if refusal is not None and refusal.retry_after_s is not None:
        response.status_code = refusal.http_status
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def _answer(
    request: UserHttpRequest, form: RedeemForm, *, is_from_link: bool = False, status: int = 200
) -> HttpResponse:
    is_box = request.htmx and request.method == "POST"
    name = "portal/_redeem_box.html" if is_box else "portal/redeem.html"
    entries = LedgerEntry.objects.filter(account_id=request.user.pk, kind=EntryKind.REDEMPTION)
    context = {
        "form": form,
        "account": account_of(user=request.user),
        "redeemed": with_reversals(entries).order_by("-pk")[:_NEWEST],
        "is_from_link": is_from_link,
    }
    return TemplateResponse(request, name, context, status=status)


def _success(request: UserHttpRequest, entry: LedgerEntry) -> HttpResponse:
    account = account_of(user=request.user)
    if not request.htmx:
        amounts = {"amount": format_usd(entry.amount), "available": format_usd(account.available)}
        messages.success(request, _("%(amount)s was added. You have %(available)s now.") % amounts)
        return redirect("portal:redeem")
    context = {"form": RedeemForm(), "entry": entry, "account": account}
    response = TemplateResponse(request, "portal/_redeem_box.html", context)
    return trigger_client_event(response, LIST_CHANGED, {})
