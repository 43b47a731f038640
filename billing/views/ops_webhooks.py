import json
from typing import Any

from django.contrib import messages
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
from billing.forms.webhooks import WebhookForm
from billing.models import DeliveryStatus, Webhook, WebhookDelivery
from billing.queries import webhooks as queries
from billing.services import webhooks as services
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.http import LIST_CHANGED, changed, panel
from oneapi_admin.lib.pagination import page_of


@operator_required
@require_safe
def webhooks(request: UserHttpRequest) -> HttpResponse:
    page = page_of(queries.webhooks(), cursor=request.GET.get("cursor"))
    return TemplateResponse(request, "ops/webhook_list.html", {"page": page})


@never_cache
@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_create(request: UserHttpRequest) -> HttpResponse:
    form = WebhookForm(request.POST or None)
    if form.is_valid():
        try:
            webhook, secret = services.create_webhook(
                actor=request.user, settings=form.settings(), at=timezone.now()
            )
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            return _secret(request, webhook, secret, is_new=True)
    return _form(request, form, None)


@operator_required
@require_safe
def webhook_detail(request: UserHttpRequest, pk: int) -> HttpResponse:
    webhook = get_object_or_404(Webhook.objects.select_related("created_by"), pk=pk)
    status = request.GET.get("status", "")
    page = page_of(queries.deliveries_of(webhook=webhook, status=status), cursor=request.GET.get("cursor"))
    context = {
        "webhook": webhook,
        "page": page,
        "statuses": DeliveryStatus.choices,
        "has_pending": any(delivery.is_pending for delivery in page.items),
    }
    return TemplateResponse(request, "ops/webhook_detail.html", context)


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_edit(request: UserHttpRequest, pk: int) -> HttpResponse:
    webhook = get_object_or_404(Webhook, pk=pk)
    form = WebhookForm(request.POST if request.method == "POST" else None, webhook=webhook)
    if form.is_valid():
        try:
            services.update_webhook(actor=request.user, webhook=webhook, settings=form.settings())
        except ValidationError as exc:
            form.add_error(None, exc)
        else:
            return _changed(request, webhook, _("%(name)s was changed."))
    return _form(request, form, get_object_or_404(Webhook, pk=pk))


@operator_required
@require_POST
def webhook_status(request: UserHttpRequest, pk: int) -> HttpResponse:
    webhook = get_object_or_404(Webhook, pk=pk)
    is_enabled = request.POST.get("is_enabled") == "1"
    services.set_webhook_status(actor=request.user, webhook=webhook, is_enabled=is_enabled)
    text = _("%(name)s is told of events again.") if is_enabled else _("%(name)s is told of nothing more.")
    return _changed(request, webhook, text)


@operator_required
@require_POST
def webhook_delete(request: UserHttpRequest, pk: int) -> HttpResponse:
    webhook = get_object_or_404(Webhook, pk=pk)
    services.delete_webhook(actor=request.user, webhook=webhook)
    messages.success(request, _("%(name)s was deleted.") % {"name": webhook.name})
    return redirect("ops:webhooks")


@never_cache
@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_rotate(request: UserHttpRequest, pk: int) -> HttpResponse:
    webhook = get_object_or_404(Webhook, pk=pk)
    if request.method == "POST":
        secret = services.rotate_secret(actor=request.user, webhook=webhook)
        return _secret(request, webhook, secret, is_new=False)
    return panel(request, "ops/webhook_rotate.html", {"webhook": webhook})


@operator_required
@require_POST
def webhook_test(request: UserHttpRequest, pk: int) -> HttpResponse:
    webhook = get_object_or_404(Webhook, pk=pk)
    try:
        services.send_test(webhook=webhook, at=timezone.now())
    except DomainError as exc:
        return _refused(request, webhook, exc)
    return _changed(request, webhook, _("A test event for %(name)s is on its way; its log shows the result."))


@operator_required
@require_safe
def webhook_delivery(request: UserHttpRequest, pk: int, delivery_pk: int) -> HttpResponse:
    delivery = _delivery(pk, delivery_pk)
    payload = json.dumps(delivery.payload, ensure_ascii=False, indent=2)
    context = {"webhook": delivery.webhook, "delivery": delivery, "payload": payload}
    return panel(request, "ops/webhook_delivery.html", context)


@operator_required
@require_POST
def webhook_redeliver(request: UserHttpRequest, pk: int, delivery_pk: int) -> HttpResponse:
    delivery = _delivery(pk, delivery_pk)
    try:
        services.redeliver(delivery=delivery, at=timezone.now())
    except DomainError as exc:
        return _refused(request, delivery.webhook, exc)
    return _changed(request, delivery.webhook, _("It is sent to %(name)s again."))


def _delivery(pk: int, delivery_pk: int) -> WebhookDelivery:
    return get_object_or_404(WebhookDelivery.objects.select_related("webhook"), pk=delivery_pk, webhook_id=pk)


def _form(request: UserHttpRequest, form: WebhookForm, webhook: Webhook | None) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "webhook": webhook}
    return panel(request, "ops/webhook_form.html", context, status=422 if form.errors else 200)


def _secret(request: UserHttpRequest, webhook: Webhook, secret: str, *, is_new: bool) -> HttpResponse:
    context = {"webhook": webhook, "secret": secret, "is_new": is_new}
    return trigger_client_event(panel(request, "ops/webhook_secret.html", context), LIST_CHANGED, {})


def _changed(request: UserHttpRequest, webhook: Webhook, text: str) -> HttpResponse:
    url = reverse("ops:webhook-detail", args=[webhook.pk])
    return changed(request, message=text % {"name": webhook.name}, url=url)


def _refused(request: UserHttpRequest, webhook: Webhook, error: DomainError) -> HttpResponse:
    if not request.htmx:
        messages.error(request, error.full_text)
        return redirect("ops:webhook-detail", webhook.pk)
    response = HttpResponse(status=204)
    return trigger_client_event(response, "toast", {"level": "error", "message": error.full_text})
