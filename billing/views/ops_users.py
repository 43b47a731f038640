from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from accounts.models import Role, SiteSettings, User, UserStatus
from accounts.services import site
from accounts.services import users as people
from billing.forms.users import PasswordForm, TopUpForm, UserCreateForm, UserEditForm
from billing.models import Proposal
from billing.queries import users as queries
from billing.services import accounts as services
from billing.services import acts
from billing.services.approvals import submit
from billing.views.ops_approvals import proposed
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import changed, panel
from oneapi_admin.lib.pagination import page_of
from oneapi_admin.lib.quota import format_usd
from oneapi_admin.lib.secrets import random_key

QUICK_AMOUNTS = (5, 10, 20, 50, 100)
PASSWORD_LENGTH = 20
USAGE_DAYS = 30


@operator_required
@require_safe
def users(request: UserHttpRequest) -> HttpResponse:
    filters = queries.UserFilters.of(request.GET)
    context = {
        "page": page_of(
            queries.people(actor=request.user, filters=filters), cursor=request.GET.get("cursor")
        ),
        "filters": filters,
        "total": User.objects.visible_to(request.user).count(),
        "groups": queries.groups(),
        "roles": Role.choices
        if request.user.is_root
        else [choice for choice in Role.choices if choice[0] != Role.ROOT],
        "statuses": [choice for choice in UserStatus.choices if choice[0] != UserStatus.DELETED],
        "site": SiteSettings.objects.get(pk=1),
    }
    return TemplateResponse(request, "ops/user_list.html", context)


@operator_required
@require_safe
def user_detail(request: UserHttpRequest, pk: int) -> HttpResponse:
    person = get_object_or_404(queries.people(actor=request.user), pk=pk)
    since = timezone.now().date() - timedelta(days=USAGE_DAYS - 1)
    context = {
        "person": person,
        "tokens": queries.tokens_of(person),
        "entries": queries.recent_entries(person),
        "calls": queries.recent_calls(person),
        "usage": queries.usage_by_model(person, since=since),
        "usage_days": USAGE_DAYS,
        "now": timezone.now(),
    }
    return TemplateResponse(request, "ops/user_detail.html", context)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def user_top_up(request: UserHttpRequest, pk: int) -> HttpResponse:
    person = _managed(request, pk)
    form = TopUpForm(request.POST or None)
    if form.is_valid():
        entry = form.attempt(
            lambda: submit(
                actor=request.user,
                act=acts.TopUp(
                    user_id=person.pk,
                    quota=form.cleaned_data["quota"],
                    memo=form.cleaned_data["memo"],
                    idempotency_key=form.idempotency_key,
                ),
                at=timezone.now(),
            ),
            field="amount",
        )
        if isinstance(entry, Proposal):
            return proposed(request, entry)
        if entry is not None:
            words = {"name": person.name, "amount": format_usd(entry.amount)}
            return _row_changed(request, person, _("%(name)s was given %(amount)s.") % words)
    return _panel(request, "ops/user_top_up.html", form, person=person, quick_amounts=QUICK_AMOUNTS)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def user_create(request: UserHttpRequest) -> HttpResponse:
    form = UserCreateForm(request.POST or None, actor=request.user)
    if form.is_valid():
        data = form.cleaned_data
        generated = "" if data["password"] else random_key(PASSWORD_LENGTH)
        try:
            person = services.create_user(
                actor=request.user,
                at=timezone.now(),
                quota=data["quota"] or 0,
                username=data["username"],
                password=generated or data["password"],
                email=data["email"],
                display_name=data["display_name"],
                group=data["group"],
                role=data.get("role", Role.USER),
            )
        except (DomainError, ValidationError) as exc:
            form.add_error(None, _errors_of(exc))
        else:
            if generated:
                return _secret(request, person, generated, _("User created"))
            return changed(
                request, message=_("%(name)s was created.") % {"name": person.name}, url=reverse("ops:users")
            )
    return _panel(request, "ops/user_create.html", form, groups=queries.groups())


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def user_edit(request: UserHttpRequest, pk: int) -> HttpResponse:
    person = _managed(request, pk)
    initial = {name: getattr(person, name) for name in ("display_name", "email", "group", "role", "status")}
    form = UserEditForm(request.POST or None, initial=initial, actor=request.user, person=person)
    if form.is_valid():
        try:
            fields = {"role": person.role, **form.cleaned_data}
            people.update_user(actor=request.user, user=person, **fields)
        except (DomainError, ValidationError) as exc:
            form.add_error(None, _errors_of(exc))
        else:
            message = _("%(name)s was changed.") % {"name": fields["display_name"] or person.username}
            return changed(request, message=message, url=reverse("ops:user-detail", args=[pk]))
    return _panel(request, "ops/user_edit.html", form, person=person, groups=queries.groups())


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def user_password(request: UserHttpRequest, pk: int) -> HttpResponse:
    person = _managed(request, pk)
    form = PasswordForm(request.POST if request.method == "POST" else None, person=person)
    if form.is_valid():
        generated = "" if form.cleaned_data["password"] else random_key(PASSWORD_LENGTH)
        people.set_password(
            actor=request.user, user=person, password=generated or form.cleaned_data["password"]
        )
        if person == request.user:
            update_session_auth_hash(request, person)
        if generated:
            return _secret(request, person, generated, _("Password changed"))
        message = _("The password of %(name)s was changed.") % {"name": person.name}
        return changed(request, message=message, url=reverse("ops:user-detail", args=[pk]))
    return _panel(request, "ops/user_password.html", form, person=person)


@operator_required
@require_POST
def user_signup(request: UserHttpRequest) -> HttpResponse:
    is_open = request.POST.get("is_signup_open") == "on"
    site.set_signup_open(actor=request.user, is_open=is_open)
    messages.success(request, _("People can sign up now.") if is_open else _("Nobody can sign up now."))
    return redirect("ops:users")


def _managed(request: UserHttpRequest, pk: int) -> User:
    person: User = get_object_or_404(User.objects.manageable_by(request.user), pk=pk)
    return person


def _panel(request: UserHttpRequest, template: str, form: Any, **context: Any) -> HttpResponse:
    return panel(request, template, {"form": form, **context}, status=422 if form.errors else 200)


def _row_changed(request: UserHttpRequest, person: User, message: str) -> HttpResponse:
    """In the list of people its row is swapped; elsewhere the page draws itself again."""
    if urlsplit(request.htmx.current_url or "").path != reverse("ops:users"):
        return changed(request, message=message, url=reverse("ops:user-detail", args=[person.pk]))
    row = queries.people(actor=request.user).get(pk=person.pk)
    response = TemplateResponse(request, "ops/user_list.html#row", {"row": row, "oob": True})
    trigger_client_event(response, "slideover:close", {})
    return trigger_client_event(response, "toast", {"level": "success", "message": message})


def _secret(request: UserHttpRequest, person: User, password: str, title: str) -> HttpResponse:
    """The only time that a generated password is seen."""
    context = {"person": person, "password": password, "title": title}
    response = panel(request, "ops/user_secret.html", context)
    return trigger_client_event(response, "list-changed", {})


def _errors_of(exc: DomainError | ValidationError) -> Any:
    return exc.full_text if isinstance(exc, DomainError) else exc
