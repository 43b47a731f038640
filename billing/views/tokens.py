"""A person's own tokens."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts.http import UserHttpRequest
from accounts.models import Token
from billing.forms.tokens import TokenForm
from billing.queries.overview import account_of, available_models
from billing.queries.tokens import TokenState, token_row, tokens_of
from billing.services import tokens as services
from billing.views.overview import base_url
from oneapi_admin.lib.http import LIST_CHANGED, changed, panel
from oneapi_admin.lib.pagination import page_of


@login_required
@require_safe
def tokens(request: UserHttpRequest) -> HttpResponse:
    at, user = timezone.now(), request.user
    text, state = request.GET.get("q", "").strip(), request.GET.get("state", "")
    page = page_of(tokens_of(user=user, text=text, state=state, at=at), cursor=request.GET.get("cursor"))
    context = {
        "account": account_of(user=user),
        "rows": [token_row(token, at=at) for token in page.items],
        "next_cursor": page.next_cursor,
        "states": TokenState.choices,
        "is_filtered": bool(text or state),
    }
    return TemplateResponse(request, "portal/tokens.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def token_create(request: UserHttpRequest) -> HttpResponse:
    available = available_models(group=request.user.group)
    form = TokenForm(
        request.POST if request.method == "POST" else None, available=available, at=timezone.now()
    )
    if form.is_valid():
        token, key = services.create_token(actor=request.user, user=request.user, **form.settings)
        shown = {"token": token, "key": key, "base_url": base_url(request)}
        return trigger_client_event(panel(request, "portal/token_created.html", shown), LIST_CHANGED, {})
    return _form_answer(request, form, {})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def token_edit(request: UserHttpRequest, pk: int) -> HttpResponse:
    token = _own_token(request, pk)
    available = available_models(group=request.user.group)
    form = TokenForm(
        request.POST if request.method == "POST" else None,
        available=available,
        at=timezone.now(),
        current=token.expires_at,
        initial=TokenForm.initial_for(token, available=available),
    )
    if form.is_valid():
        services.update_token(actor=request.user, token=token, **form.settings)
        message = _("Token “%(name)s” was changed.") % {"name": token.name}
        return changed(request, message=message, url=reverse("portal:tokens"))
    return _form_answer(request, form, {"token": token})


@login_required
@require_POST
def token_status(request: UserHttpRequest, pk: int) -> HttpResponse:
    token = _own_token(request, pk)
    is_enabled = request.POST.get("is_enabled") == "1"
    services.set_token_status(actor=request.user, token=token, is_enabled=is_enabled)
    message = _("Token “%(name)s” is enabled.") if is_enabled else _("Token “%(name)s” is disabled.")
    return changed(request, message=message % {"name": token.name}, url=reverse("portal:tokens"))


@login_required
@require_POST
def token_delete(request: UserHttpRequest, pk: int) -> HttpResponse:
    token = _own_token(request, pk)
    services.delete_token(actor=request.user, token=token)
    message = _("Token “%(name)s” was deleted.") % {"name": token.name}
    return changed(request, message=message, url=reverse("portal:tokens"))


def _own_token(request: UserHttpRequest, pk: int) -> Token:
    return get_object_or_404(Token.objects.owned_by(request.user).select_related("quota"), pk=pk)


def _form_answer(request: UserHttpRequest, form: TokenForm, context: dict[str, Any]) -> HttpResponse:
    status = 422 if form.is_bound else 200
    return panel(request, "portal/token_form.html", {"form": form, **context}, status=status)
