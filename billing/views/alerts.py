"""What a person is told of their own quota."""

from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.http import UserHttpRequest
from billing.forms.alert_destinations import DestinationForm
from billing.forms.alerts import OwnRuleForm
from billing.models import AlertDestination, AlertRule
from billing.queries import alerts as queries
from billing.queries.alert_lines import DestinationLine, RuleLine, alert_lines
from billing.services.alerts import destinations as destination_services
from billing.services.alerts import rules as services
from billing.services.alerts.usual import create_first_rule
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import changed, panel, refused
from oneapi_admin.lib.pagination import page_of

_PAGE = 20


@login_required
@require_safe
def alerts(request: UserHttpRequest) -> HttpResponse:
    user, is_open = request.user, request.GET.get("state") != "all"
    told = queries.alerts_told_to(user, is_open=is_open)
    page = page_of(told, cursor=request.GET.get("cursor"), size=_PAGE)
    found = queries.destinations_of(user).prefetch_related("rules").order_by("pk")
    context = {
        "lines": alert_lines(page.items, reader=user, is_own=True),
        "next_cursor": page.next_cursor,
        "is_open": is_open,
        "rules": [RuleLine(rule=rule) for rule in queries.rules_of(user).order_by("pk")],
        "destinations": [DestinationLine(destination=destination) for destination in found],
    }
    return TemplateResponse(request, "portal/alerts.html", context)


@login_required
@require_safe
def alert(request: UserHttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(queries.alerts_told_to(request.user), pk=pk)
    [line] = alert_lines([found], reader=request.user, is_own=True)
    deliveries = queries.deliveries_of(found, reader=request.user)
    return panel(request, "portal/alert.html", {"line": line, "alert": found, "deliveries": deliveries})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rule_create(request: UserHttpRequest) -> HttpResponse:
    user = request.user
    data = request.POST if request.method == "POST" else None
    form = OwnRuleForm.sent_or_begun(data, kind=request.GET.get("kind", ""), actor=user)
    if form.is_valid():
        try:
            rule = services.create_rule(actor=user, owner=user, settings=form.settings(), at=timezone.now())
        except ValidationError as exc:
            form.add_error(None, exc)
        except DomainError as exc:
            form.add_error(None, exc.full_text)
        else:
            return _changed(request, _("The rule “%(name)s” watches from now on."), rule)
    return _form(request, form, None)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def rule_edit(request: UserHttpRequest, pk: int) -> HttpResponse:
    rule = _own_rule(request, pk)
    data = request.POST if request.method == "POST" else None
    form = OwnRuleForm(data, actor=request.user, rule=rule)
    if form.is_valid():
        try:
            services.update_rule(actor=request.user, rule=rule, settings=form.settings(), at=timezone.now())
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            return _changed(request, _("The rule “%(name)s” was changed."), rule)
    return _form(request, form, _own_rule(request, pk))


@login_required
@require_POST
def rule_status(request: UserHttpRequest, pk: int) -> HttpResponse:
    rule, is_enabled = _own_rule(request, pk), request.POST.get("is_enabled") == "1"
    services.set_rule_status(actor=request.user, rule=rule, is_enabled=is_enabled, at=timezone.now())
    watches, rests = _("The rule “%(name)s” watches again."), _("The rule “%(name)s” watches no more.")
    return _changed(request, watches if is_enabled else rests, rule)


@login_required
@require_POST
def rule_delete(request: UserHttpRequest, pk: int) -> HttpResponse:
    rule = _own_rule(request, pk)
    services.delete_rule(actor=request.user, rule=rule)
    return _changed(request, _("The rule “%(name)s” was deleted."), rule)


@login_required
@require_POST
def first_rule(request: UserHttpRequest) -> HttpResponse:
    try:
        rule = create_first_rule(user=request.user, at=timezone.now())
    except DomainError as exc:
        return refused(request, exc, url=reverse("portal:alerts"))
    return _changed(request, _("The rule “%(name)s” watches from now on."), rule)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def destination_create(request: UserHttpRequest) -> HttpResponse:
    user = request.user
    data = request.POST if request.method == "POST" else None
    form = DestinationForm(data, initial={"language": get_language()})
    if form.is_valid():
        try:
            destination = destination_services.add_destination(
                actor=user, owner=user, at=timezone.now(), **form.cleaned_data
            )
        except ValidationError as exc:
            form.add_error(None, exc)
        except DomainError as exc:
            form.add_error(None, exc.full_text)
        else:
            text = _("%(name)s was added. Send a test to see whether it arrives.")
            return _changed(request, text, destination)
    status = 422 if form.errors else 200
    return panel(request, "portal/alert_destination_form.html", {"form": form}, status=status)


@login_required
@require_POST
def destination_test(request: UserHttpRequest, pk: int) -> HttpResponse:
    destination = _own_destination(request, pk)
    try:
        destination_services.send_test(actor=request.user, destination=destination, at=timezone.now())
    except DomainError as exc:
        return refused(request, exc, url=reverse("portal:alerts"))
    return _changed(request, _("%(name)s took the test."), destination)


@login_required
@require_POST
def destination_delete(request: UserHttpRequest, pk: int) -> HttpResponse:
    destination = _own_destination(request, pk)
    destination_services.remove_destination(actor=request.user, destination=destination)
    return _changed(request, _("%(name)s was removed."), destination)


def _own_rule(request: UserHttpRequest, pk: int) -> AlertRule:
    return get_object_or_404(queries.rules_of(request.user), pk=pk)


def _own_destination(request: UserHttpRequest, pk: int) -> AlertDestination:
    return get_object_or_404(AlertDestination, pk=pk, owner=request.user)


def _form(request: UserHttpRequest, form: OwnRuleForm, rule: AlertRule | None) -> HttpResponse:
    status = 422 if form.errors else 200
    return panel(request, "portal/alert_rule_form.html", {"form": form, "rule": rule}, status=status)


def _changed(request: UserHttpRequest, text: str, about: AlertRule | AlertDestination) -> HttpResponse:
    return changed(request, message=text % {"name": about.name}, url=reverse("portal:alerts"))
