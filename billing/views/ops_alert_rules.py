from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.decorators import operator_required
from accounts.http import UserHttpRequest
from billing.forms.ops_alerts import OperatorsRuleForm
from billing.models import AlertRule
from billing.queries import alerts as queries
from billing.queries.alert_lines import RuleLine
from billing.services.alerts import rules as services
from billing.services.alerts.usual import create_usual_rules, missing_kinds
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import changed, panel, refused


@operator_required
@require_safe
def alert_rules(request: UserHttpRequest) -> HttpResponse:
    lines = [RuleLine(rule=rule) for rule in queries.rules_of(None, viewer=request.user).order_by("pk")]
    return TemplateResponse(request, "ops/alert_rules.html", {"lines": lines, "missing": missing_kinds()})


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def alert_rule_create(request: UserHttpRequest) -> HttpResponse:
    form = OperatorsRuleForm.sent_or_begun(
        request.POST if request.method == "POST" else None,
        kind=request.GET.get("kind", ""),
        actor=request.user,
    )
    if form.is_valid():
        try:
            rule = services.create_rule(actor=request.user, settings=form.settings(), at=timezone.now())
        except ValidationError as exc:
            form.add_error(None, exc)
        except DomainError as exc:
            form.add_error(None, exc.full_text)
        else:
            return _changed(request, rule, _("The rule “%(name)s” watches from now on."))
    return _form(request, form, None)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def alert_rule_edit(request: UserHttpRequest, pk: int) -> HttpResponse:
    rule = _rule(request, pk)
    form = OperatorsRuleForm(
        request.POST if request.method == "POST" else None, actor=request.user, rule=rule
    )
    if form.is_valid():
        try:
            services.update_rule(actor=request.user, rule=rule, settings=form.settings(), at=timezone.now())
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            return _changed(request, rule, _("The rule “%(name)s” was changed."))
    return _form(request, form, _rule(request, pk))


@operator_required
@require_POST
def alert_rule_status(request: UserHttpRequest, pk: int) -> HttpResponse:
    rule, is_enabled = _rule(request, pk), request.POST.get("is_enabled") == "1"
    services.set_rule_status(actor=request.user, rule=rule, is_enabled=is_enabled, at=timezone.now())
    watches, rests = _("The rule “%(name)s” watches again."), _("The rule “%(name)s” watches no more.")
    return _changed(request, rule, watches if is_enabled else rests)


@operator_required
@require_POST
def alert_rule_delete(request: UserHttpRequest, pk: int) -> HttpResponse:
    rule = _rule(request, pk)
    services.delete_rule(actor=request.user, rule=rule)
    return _changed(request, rule, _("The rule “%(name)s” was deleted."))


@operator_required
@require_POST
def alert_rules_usual(request: UserHttpRequest) -> HttpResponse:
    url = reverse("ops:alert-rules")
    try:
        made = create_usual_rules(actor=request.user, at=timezone.now())
    except DomainError as exc:
        return refused(request, exc, url=url)
    text = ngettext("%(n)s rule was added.", "%(n)s rules were added.", len(made)) % {"n": len(made)}
    return changed(request, message=text, url=url)


def _rule(request: UserHttpRequest, pk: int) -> AlertRule:
    """One of the operators': people's own are their own affair."""
    return get_object_or_404(queries.rules_of(None, viewer=request.user), pk=pk)


def _form(request: UserHttpRequest, form: OperatorsRuleForm, rule: AlertRule | None) -> HttpResponse:
    status = 422 if form.errors else 200
    return panel(request, "ops/alert_rule_form.html", {"form": form, "rule": rule}, status=status)


def _changed(request: UserHttpRequest, rule: AlertRule, text: str) -> HttpResponse:
    return changed(request, message=text % {"name": rule.name}, url=reverse("ops:alert-rules"))
