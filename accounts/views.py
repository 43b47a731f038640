"""A person's own settings and management keys."""

from datetime import timedelta

from django.conf import settings as site
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from django.views.i18n import set_language as django_set_language
from django_htmx.http import trigger_client_event

from accounts.forms import BROWSER, AccessTokenForm, LanguageForm, ProfileForm, RotationForm
from accounts.http import UserHttpRequest
from accounts.models import AccessToken, User
from accounts.services import access_tokens, users
from oneapi_admin.lib.http import LIST_CHANGED, changed, panel
from oneapi_admin.lib.pagination import page_of


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: UserHttpRequest) -> HttpResponse:
    user = request.user
    form = ProfileForm(
        request.POST if request.method == "POST" else None, initial={"display_name": user.display_name}
    )
    if form.is_valid():
        users.set_display_name(user=user, display_name=form.cleaned_data["display_name"])
        messages.success(request, _("Your settings were saved."))
        return redirect("portal:settings")
    return _settings_page(request, form, LanguageForm(initial={"language": user.language or BROWSER}))


@login_required
@require_POST
def settings_language(request: UserHttpRequest) -> HttpResponse:
    form = LanguageForm(request.POST)
    if not form.is_valid():
        return _settings_page(request, ProfileForm(initial={"display_name": request.user.display_name}), form)
    language = form.cleaned_data["language"]
    users.set_language(user=request.user, language=language)
    with translation.override(language or translation.get_language()):
        messages.success(request, _("Your language was saved."))
    response = redirect("portal:settings")
    response.delete_cookie(site.LANGUAGE_COOKIE_NAME)  # it would stand above the browser's own choice
    return response


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Django's language switch, which also remembers the choice of a signed-in person."""
    response = django_set_language(request)
    language = request.POST.get("language", "")
    if isinstance(request.user, User) and language in dict(site.LANGUAGES):
        users.set_language(user=request.user, language=language)
    return response


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def access_token_create(request: UserHttpRequest) -> HttpResponse:
    data = request.POST if request.method == "POST" else None
    form = AccessTokenForm(data, user=request.user, at=timezone.now())
    if form.is_valid():
        chosen = {name: form.cleaned_data[name] for name in ("name", "scopes", "expires_at")}
        token, key = access_tokens.create_access_token(actor=request.user, user=request.user, **chosen)
        response = panel(request, "portal/access_token_created.html", {"token": token, "key": key})
        return trigger_client_event(response, LIST_CHANGED, {})
    status = 422 if form.is_bound else 200
    return panel(request, "portal/access_token_form.html", {"form": form}, status=status)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def access_token_rotate(request: UserHttpRequest, pk: int) -> HttpResponse:
    token = _own_access_token(request, pk)
    form = RotationForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        grace: timedelta = form.cleaned_data["grace"]
        try:
            key = access_tokens.rotate_access_token(
                actor=request.user, token=token, grace=grace, at=timezone.now()
            )
        except access_tokens.AccessTokenGoneError as exc:
            raise Http404 from exc
        token.refresh_from_db()
        response = panel(request, "portal/access_token_rotated.html", {"token": token, "key": key})
        return trigger_client_event(response, LIST_CHANGED, {})
    context = {"form": form, "token": token, "now": timezone.now()}
    status = 422 if form.is_bound else 200
    return panel(request, "portal/access_token_rotate.html", context, status=status)


@login_required
@require_POST
def access_token_revoke(request: UserHttpRequest, pk: int) -> HttpResponse:
    token = _own_access_token(request, pk)
    access_tokens.revoke_access_token(actor=request.user, token=token)
    message = _("Access token “%(name)s” was revoked.") % {"name": token.name}
    return changed(request, message=message, url=reverse("portal:settings"))


def _own_access_token(request: UserHttpRequest, pk: int) -> AccessToken:
    return get_object_or_404(AccessToken.objects.filter(user=request.user), pk=pk)


def _settings_page(request: UserHttpRequest, form: ProfileForm, language_form: LanguageForm) -> HttpResponse:
    tokens = page_of(AccessToken.objects.filter(user=request.user), cursor=request.GET.get("cursor"))
    context = {
        "form": form,
        "language_form": language_form,
        "access_tokens": tokens.items,
        "next_cursor": tokens.next_cursor,
        "now": timezone.now(),
    }
    status = 422 if form.errors or language_form.errors else 200
    return TemplateResponse(request, "portal/settings.html", context, status=status)
