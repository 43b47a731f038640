"""Turning a code into quota."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods
from django_htmx.http import trigger_client_event

from accounts.http import UserHttpRequest
from billing.models import EntryKind, LedgerEntry
from billing.queries.overview import account_of
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import LIST_CHANGED
from oneapi_admin.lib.quota import format_usd
from redemption import services
from redemption.forms import RedeemForm

_NEWEST = 5


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def redeem(request: UserHttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _answer(request, RedeemForm(initial={"code": request.GET.get("code", "")[:128]}))
    form = RedeemForm(request.POST)
    if form.is_valid():
        code = form.cleaned_data["code"]
        try:
            entry = services.redeem(code=code, user=request.user, at=timezone.now())
        except DomainError as refusal:
            form.add_error("code", " ".join(filter(None, (refusal.full_text, _length_hint(code)))))
        else:
            return _success(request, entry)
    return _answer(request, form, status=422)


def _answer(request: UserHttpRequest, form: RedeemForm, *, status: int = 200) -> HttpResponse:
    is_box = request.htmx and request.method == "POST"
    name = "portal/_redeem_box.html" if is_box else "portal/redeem.html"
    user = request.user
    redeemed = LedgerEntry.objects.filter(account_id=user.pk, kind=EntryKind.REDEMPTION).order_by("-pk")
    context = {"form": form, "account": account_of(user=user), "redeemed": redeemed[:_NEWEST]}
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


def _length_hint(code: str) -> str:
    if len(code) == services.CODE_LENGTH:
        return ""
    text = ngettext(
        "You entered %(count)s character; codes made here have %(usual)s.",
        "You entered %(count)s characters; codes made here have %(usual)s.",
        len(code),
    )
    return text % {"count": len(code), "usual": services.CODE_LENGTH}
